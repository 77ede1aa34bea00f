// Tabs by mouse, by arrow keys, Home and End; the open one and its detail are in the address, as
// `#/decisions/ID`: without the slash the browser would take the focus to the panel of that name.

/** Opens panels as the address says; `opened(name, detail)` is told. */
export const tabs = (bar, opened) => {
  const buttons = [...bar.querySelectorAll("[role=tab]")];
  const names = buttons.map((button) => button.getAttribute("aria-controls"));

  const open = () => {
    const [wanted, ...rest] = location.hash.slice(2).split("/");
    const place = Math.max(0, names.indexOf(wanted));
    buttons.forEach((button, i) => {
      button.setAttribute("aria-selected", String(i === place));
      button.tabIndex = i === place ? 0 : -1;
      document.getElementById(names[i]).hidden = i !== place;
    });
    const detail = rest.length ? decodeURIComponent(rest.join("/")) : null;
    opened(names[place], detail);
  };

  buttons.forEach((button, i) => {
    button.addEventListener("click", () => { location.hash = `/${names[i]}`; });
    button.addEventListener("keydown", (event) => {
      const last = buttons.length - 1;
      const to = {
        ArrowRight: i === last ? 0 : i + 1, ArrowLeft: i === 0 ? last : i - 1, Home: 0, End: last,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      buttons[to].focus();
      location.hash = `/${names[to]}`;
    });
  });
  addEventListener("hashchange", open);
  open();
};
