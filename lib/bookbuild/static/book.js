// The contents' toggles have no text of their own: name them for those who cannot see the arrow.
document.addEventListener("DOMContentLoaded", () => {
  for (const summary of document.querySelectorAll("nav li.has-children > details > summary")) {
    const part = summary.closest("li").querySelector("a").textContent.trim();
    summary.setAttribute("aria-label", `Chapters of ${part}`);
  }
});

// Sorting and filtering for the scoreboard; without JavaScript the table simply stands there.
document.addEventListener("DOMContentLoaded", () => {
  const table = document.querySelector(".scoreboard table");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const headers = [...table.tHead.rows[0].cells];
  const names = headers.map((header) => header.textContent.trim());
  const text = (row, column) => row.cells[column].textContent.trim();

  function sortBy(column) {
    const header = headers[column];
    const direction = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    headers.forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    const compare = new Intl.Collator("en", { numeric: true }).compare;
    rows.sort((a, b) => direction * compare(text(a, column), text(b, column)));
    body.append(...rows);
  }

  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = names[column];
    button.addEventListener("click", () => sortBy(column));
    header.replaceChildren(button);
  });

  const controls = document.createElement("form");
  controls.className = "scoreboard-controls";
  const status = document.createElement("output");
  const filters = ["Part", "Verdict", "Ran on"].map((name) => {
    const column = names.indexOf(name);
    const kind = (row) => text(row, column).split(":")[0];
    const select = document.createElement("select");
    select.append(new Option("all", ""), ...[...new Set(rows.map(kind))].map((k) => new Option(k)));
    return { control: select, label: name, keeps: (row) => !select.value || kind(row) === select.value };
  });
  const search = document.createElement("input");
  search.type = "search";
  filters.push({
    control: search,
    label: "Text",
    keeps: (row) => row.textContent.toLowerCase().includes(search.value.toLowerCase()),
  });

  function filter() {
    rows.forEach((row) => (row.hidden = !filters.every(({ keeps }) => keeps(row))));
    status.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  }

  filters.forEach(({ control, label }) => {
    const holder = document.createElement("label");
    holder.append(`${label} `, control);
    controls.append(holder);
    control.addEventListener("input", filter);
  });
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.append(status);
  table.before(controls);
  filter();
});
