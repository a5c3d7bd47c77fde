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

// A slider shows one of its figures; without JavaScript the one it starts with.
document.addEventListener("DOMContentLoaded", () => {
  for (const control of document.querySelectorAll(".slider-control")) {
    const input = control.querySelector("input");
    const values = JSON.parse(input.dataset.values);
    const frames = [...control.closest("figure").querySelectorAll(".slider-frame")];
    const show = () => {
      frames.forEach((frame, k) => frame.classList.toggle("is-shown", k === Number(input.value)));
      control.querySelector("output").textContent = values[input.value];
      input.setAttribute("aria-valuetext", values[input.value]);
    };
    input.addEventListener("input", show);
    control.hidden = false;
    show();
  }
});

// A figure can be enlarged: on a phone its letters are small.
document.addEventListener("DOMContentLoaded", () => {
  const figures = document.querySelectorAll("main figure:has(img)");
  if (!figures.length) return;
  const dialog = document.createElement("dialog");
  dialog.className = "enlarged";
  dialog.setAttribute("aria-label", "Enlarged figure");
  const close = Object.assign(document.createElement("button"), { type: "button", textContent: "Close" });
  const place = Object.assign(document.createElement("div"), { tabIndex: 0 });
  close.addEventListener("click", () => dialog.close());
  dialog.append(close, place);
  document.body.append(dialog);
  for (const figure of figures) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Enlarge" });
    button.className = "enlarge";
    button.addEventListener("click", () => {
      const image = figure.querySelector("img.is-shown") ?? figure.querySelector("img");
      place.replaceChildren(image.cloneNode());
      dialog.showModal();
    });
    figure.append(button);
  }
});
