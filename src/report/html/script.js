"use strict";
// Steps are explained where the pointer or the focus is; without script their titles do.
for (const figure of document.querySelectorAll("[data-lanes]")) {
  const box = figure.querySelector(".explain");
  const steps = [...figure.querySelectorAll(".step")];
  const show = (step) => {
    steps.forEach((other) => other.classList.toggle("on", other === step));
    box.textContent = step.getAttribute("aria-label");
  };
  steps.forEach((step, place) => {
    step.addEventListener("pointerenter", () => show(step));
    step.addEventListener("focus", () => show(step));
    step.addEventListener("keydown", (event) => {
      const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!move || !steps[place + move]) return;
      event.preventDefault();
      steps[place + move].focus();
    });
  });
}
// Tables: sorted by a column's data-value where there is one, else by its text.
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
  };
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      rows.sort((a, b) => {
        const [x, y] = [value(a, column), value(b, column)];
        const order = typeof x === "number" ? x - y : x.localeCompare(y, "en", { numeric: true });
        return down ? -order : order;
      });
      body.append(...rows);
    });
  });
  const controls = document.getElementById(table.dataset.sortable);
  if (!controls) continue;
  const [text, kind] = [controls.querySelector("input"), controls.querySelector("select")];
  const count = controls.querySelector("output");
  const filter = () => {
    const wanted = text.value.toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const hit = row.textContent.toLowerCase().includes(wanted) &&
        (kind.value === "" || row.dataset.kind === kind.value);
      row.hidden = !hit;
      shown += hit;
    }
    count.textContent = `${shown} of ${rows.length} entries`;
  };
  text.addEventListener("input", filter);
  kind.addEventListener("change", filter);
  filter();
}
