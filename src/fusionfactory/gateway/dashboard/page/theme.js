// Before the first paint, so that a chosen theme does not flash: system, light or dark.
(() => {
  "use strict";
  const order = ["system", "light", "dark"];
  const read = () => {
    try { return localStorage.getItem("fusionfactory.theme"); } catch { return null; }
  };
  const apply = (theme) => {
    document.documentElement.dataset.theme = theme;
    const button = document.getElementById("theme");
    if (button) button.textContent = `Theme: ${theme}`;
  };
  let theme = order.includes(read()) ? read() : "system";
  apply(theme);
  document.addEventListener("DOMContentLoaded", () => {
    apply(theme);
    document.getElementById("theme").addEventListener("click", () => {
      theme = order[(order.indexOf(theme) + 1) % order.length];
      try { localStorage.setItem("fusionfactory.theme", theme); } catch { /* for this page only */ }
      apply(theme);
    });
  });
})();
