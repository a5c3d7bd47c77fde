// The contents' toggles have no text of their own: name them for those who cannot see the arrow.
document.addEventListener("DOMContentLoaded", () => {
  for (const summary of document.querySelectorAll("nav li.has-children > details > summary")) {
    const part = summary.closest("li").querySelector("a").textContent.trim();
    summary.setAttribute("aria-label", `Chapters of ${part}`);
  }
});

// Filters for the scoreboard; without JavaScript its groups simply stand there.  An address may
// choose: scoreboard.html?verdict=not+reproduced
document.addEventListener("DOMContentLoaded", () => {
  const board = document.querySelector(".scoreboard");
  if (!board) return;
  const groups = [...board.querySelectorAll("details.paper-claims")];
  const rowsOf = new Map(groups.map((group) => [group, [...group.querySelectorAll("tbody tr")]]));
  const rows = [...rowsOf.values()].flat();
  const cell = (row, k) => row.cells[k].textContent.trim();
  const facts = new Map(rows.map((row) => [row, {
    verdict: cell(row, 0).replace(/^\S+\s/, ""),
    kind: cell(row, row.cells.length - 1),
  }]));
  const wanted = new URLSearchParams(window.location.search);
  const controls = document.createElement("form");
  controls.className = "scoreboard-controls";

  function add(name, control) {
    const holder = document.createElement("label");
    holder.append(`${name} `, control);
    controls.append(holder);
    control.value = wanted.get(name.toLowerCase()) ?? "";
    control.addEventListener("input", filter);
    return control;
  }
  function choice(name, values) {
    const select = document.createElement("select");
    select.append(new Option("all", ""), ...[...new Set(values)].map((each) => new Option(each)));
    return add(name, select);
  }
  const part = choice("Part", groups.map((group) => group.dataset.part));
  const verdict = choice("Verdict", rows.map((row) => facts.get(row).verdict));
  const kind = choice("Kind", rows.map((row) => facts.get(row).kind));
  const text = add("Text", Object.assign(document.createElement("input"), { type: "search" }));
  const status = document.createElement("output");

  function filter() {
    const words = text.value.trim().toLowerCase();
    const narrow = Boolean(verdict.value || kind.value || words);
    let papers = 0;
    let count = 0;
    for (const group of groups) {
      const title = group.querySelector("summary").textContent.toLowerCase();
      const here = !part.value || group.dataset.part === part.value;
      let kept = 0;
      for (const row of rowsOf.get(group)) {
        const { verdict: its, kind: own } = facts.get(row);
        row.hidden = !(here && (!verdict.value || its === verdict.value) &&
          (!kind.value || own === kind.value) &&
          (!words || title.includes(words) || row.textContent.toLowerCase().includes(words)));
        kept += !row.hidden;
      }
      group.hidden = narrow ? !kept : !here;
      group.open = narrow && kept > 0;
      papers += !group.hidden;
      count += kept;
    }
    status.textContent = `${count} of ${rows.length} rows, ${papers} papers`;
  }

  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.append(status);
  groups[0]?.before(controls);
  filter();
});
