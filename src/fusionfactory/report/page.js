// Comfort only: tabs, sorting and highlighting. Everything can be read without it.
(() => {
  "use strict";
  const boards = [...document.querySelectorAll(".scenario")];
  if (boards.length > 1) {
    const bar = document.createElement("div");
    bar.className = "tabs";
    bar.setAttribute("role", "group");
    bar.setAttribute("aria-label", "Scenario");
    const buttons = boards.map((board, i) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = board.dataset.name;
      button.addEventListener("click", () => show(i));
      bar.append(button);
      return button;
    });
    const show = (chosen) => boards.forEach((board, i) => {
      board.classList.toggle("hidden", i !== chosen);
      buttons[i].setAttribute("aria-pressed", String(i === chosen));
    });
    boards[0].before(bar);
    show(0);
  }

  const value = (row, column) => {
    const cell = row.cells[column];
    if (column === 0) return cell.textContent;
    return cell.dataset.value === undefined ? -Infinity : Number(cell.dataset.value);
  };
  for (const table of document.querySelectorAll("table.board")) {
    [...table.querySelectorAll(".heads th")].forEach((head, column) => {
      if (head.dataset.fixed !== undefined) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const rising = head.getAttribute("aria-sort") === "descending";
        table.querySelectorAll("[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", rising ? "ascending" : "descending");
        for (const body of table.tBodies) {
          const rows = [...body.rows].filter((row) => !row.classList.contains("split"));
          rows.sort((a, b) => {
            const [x, y] = [value(a, column), value(b, column)];
            return (x < y ? -1 : x > y ? 1 : 0) * (rising ? 1 : -1);
          });
          body.append(...rows);
        }
      });
    });
  }

  for (const item of document.querySelectorAll("[data-router]")) {
    const same = document.querySelectorAll(`[data-router="${item.dataset.router}"]`);
    const light = (on) => {
      document.body.classList.toggle("picking", on);
      same.forEach((other) => other.classList.toggle("picked", on));
    };
    item.addEventListener("pointerenter", () => light(true));
    item.addEventListener("pointerleave", () => light(false));
  }
})();
