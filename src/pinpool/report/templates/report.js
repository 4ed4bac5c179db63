"use strict";
// Headings become buttons that sort. Without this script the page is complete, in its first order.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = Array.from(table.tHead.rows[0].cells);
  const body = table.tBodies[0];

  const sort = (head, column) => {
    const isText = head.dataset.sort === "text";
    const before = head.getAttribute("aria-sort");
    // Figures start with the largest, names with the first.
    const rising = before ? before === "descending" : isText;
    const value = (row) => {
      const cell = row.cells[column];
      const text = cell.dataset.value ?? cell.textContent.trim();
      return text === "" ? null : isText ? text : Number(text);
    };
    const keyed = Array.from(body.rows, (row) => [value(row), row]);
    keyed.sort(([one], [other]) => {
      if (one === null || other === null) return (one === null) - (other === null);
      const order = isText ? one.localeCompare(other, "en", { numeric: true }) : one - other;
      return rising ? order : -order;
    });
    body.append(...keyed.map(([, row]) => row));
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
  };

  heads.forEach((head, column) => {
    if (!head.dataset.sort) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head, column));
    head.append(button);
  });
}
