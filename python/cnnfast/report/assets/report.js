// The interactive half of the report. Names of files and classes are hostile until shown otherwise: they reach the page
// through textContent and attributes only, never as HTML.
"use strict";

(() => {
  const PAGE = 24;
  const gallery = JSON.parse(document.getElementById("gallery-data").textContent);
  const byId = (id) => document.getElementById(id);
  const className = (k) => gallery.classes[k];

  document.documentElement.className = "js";

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  const isolated = (text) => element("bdi", {}, text);

  // Gallery

  const filterTrue = byId("filter-true");
  const filterPredicted = byId("filter-predicted");
  const filterKind = byId("filter-kind");
  const cards = byId("gallery-cards");
  const status = byId("gallery-status");
  const more = byId("gallery-more");
  let found = [];
  let drawn = 0;

  function chosen(image) {
    const wrong = image.true !== image.predicted;
    return (
      (filterTrue.value === "" || image.true === Number(filterTrue.value)) &&
      (filterPredicted.value === "" || image.predicted === Number(filterPredicted.value)) &&
      (filterKind.value === "all" || (filterKind.value === "wrong") === wrong)
    );
  }

  function description(image) {
    const what = `${image.name}: ${className(image.true)}, taken for ${className(image.predicted)}`;
    return image.panels.length > 1 ? `${what}; beside it what speaks ${image.panels.slice(1).join(" and ")}` : what;
  }

  function card(image) {
    const wrong = image.true !== image.predicted;
    const names = element("div", { class: "panel-names", "aria-hidden": "true" });
    for (const panel of image.panels) names.append(element("span", {}, isolated(panel)));
    const caption = element("figcaption", {}, element("strong", {}, isolated(className(image.true))));
    if (wrong) caption.append(" taken for ", element("strong", {}, isolated(className(image.predicted))));
    else caption.append(", right");
    caption.append(` at ${image.confidence}`, element("span", { class: "quiet file" }, isolated(image.name)));
    for (const name of image.empty) {
      caption.append(element("span", { class: "note" }, "Nothing in the maps speaks for ", isolated(name), "."));
    }
    const picture = element("img", { src: image.src, alt: description(image), loading: "lazy" });
    return element("figure", { class: wrong ? "card wrong" : "card" }, picture, names, caption);
  }

  function drawMore() {
    cards.append(...found.slice(drawn, drawn + PAGE).map(card));
    drawn = Math.min(drawn + PAGE, found.length);
    more.hidden = drawn === found.length;
  }

  function summary() {
    const parts = [];
    if (filterTrue.value !== "") parts.push(`true class ${className(filterTrue.value)}`);
    if (filterPredicted.value !== "") parts.push(`predicted ${className(filterPredicted.value)}`);
    if (filterKind.value !== "all") parts.push(filterKind.value);
    const count = found.length === 1 ? "1 image" : `${found.length} images`;
    return parts.length ? `${count}: ${parts.join(", ")}.` : `${count}.`;
  }

  function drawGallery() {
    found = gallery.images.filter(chosen);
    drawn = 0;
    cards.replaceChildren();
    status.textContent = summary();
    drawMore();
    for (const cell of cells) {
      const same = cell.dataset.true === filterTrue.value && cell.dataset.predicted === filterPredicted.value;
      cell.classList.toggle("selected", same);
      cell.setAttribute("aria-selected", String(same));
    }
  }

  function showCell(trueClass, predicted) {
    filterTrue.value = trueClass;
    filterPredicted.value = predicted;
    filterKind.value = "all";
    drawGallery();
    status.focus({ preventScroll: true });
    byId("gallery").scrollIntoView();
  }

  for (const filter of [filterTrue, filterPredicted, filterKind]) filter.addEventListener("change", drawGallery);
  more.addEventListener("click", drawMore);
  byId("filter-reset").addEventListener("click", () => {
    filterTrue.value = filterPredicted.value = "";
    filterKind.value = "all";
    drawGallery();
  });
  for (const button of document.querySelectorAll(".show")) {
    button.addEventListener("click", () => showCell(button.dataset.true, button.dataset.predicted));
  }

  // Confusion matrix: one cell at a time takes part in tabbing, arrows move between cells

  const matrix = document.querySelector(".matrix");
  const grid = [...matrix.tBodies[0].rows].map((row) => [...row.querySelectorAll(".cell")]);
  const cells = grid.flat();

  function focusCell(row, column) {
    const cell = grid[row]?.[column];
    if (!cell) return;
    for (const other of cells) other.tabIndex = other === cell ? 0 : -1;
    cell.focus();
  }

  function place(cell) {
    const row = grid.findIndex((line) => line.includes(cell));
    return [row, grid[row].indexOf(cell)];
  }

  cells.forEach((cell, i) => { cell.tabIndex = i === 0 ? 0 : -1; });
  matrix.addEventListener("click", (event) => {
    const cell = event.target.closest(".cell");
    if (!cell) return;
    focusCell(...place(cell));
    showCell(cell.dataset.true, cell.dataset.predicted);
  });
  matrix.addEventListener("keydown", (event) => {
    const cell = event.target.closest(".cell");
    if (!cell || event.altKey || event.ctrlKey || event.metaKey) return;
    const [row, column] = place(cell);
    const last = grid.length - 1;
    const moves = {
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1], Home: [row, 0], End: [row, last], PageUp: [0, column], PageDown: [last, column],
    };
    if (event.key in moves) focusCell(...moves[event.key]);
    else if (event.key === "Enter" || event.key === " ") showCell(cell.dataset.true, cell.dataset.predicted);
    else return;
    event.preventDefault();
  });
  for (const input of document.querySelectorAll("input[name=numbers]")) {
    input.addEventListener("change", () => {
      for (const cell of cells) {
        const shade = cell.dataset[`${input.value}Shade`];
        cell.textContent = cell.dataset[input.value];
        for (const name of [...cell.classList]) if (name.startsWith("shade-")) cell.classList.remove(name);
        cell.classList.add(`shade-${shade}`);
      }
    });
  }

  // Inside the network: one image and one layer at a time

  const examples = [...document.querySelectorAll(".example")];
  const choice = byId("examples-choice");
  let layer = 0; // stays when another image is chosen, so that images can be compared

  function showLayer(example, index) {
    const steps = [...example.querySelectorAll(".step")];
    layer = Math.max(0, Math.min(index, steps.length - 1));
    steps.forEach((step, i) => { step.hidden = i !== layer; });
    const slider = example.querySelector(".slider");
    slider.value = layer;
    slider.setAttribute("aria-valuetext", steps[layer].querySelector("h4").textContent.trim());
    example.querySelector(".previous").disabled = layer === 0;
    example.querySelector(".next").disabled = layer === steps.length - 1;
  }

  function showExample(index) {
    examples.forEach((example, i) => { example.hidden = i !== index; });
    [...choice.children].forEach((button, i) => button.setAttribute("aria-pressed", String(i === index)));
    showLayer(examples[index], layer);
  }

  examples.forEach((example, i) => {
    const button = element("button", { type: "button", "aria-pressed": "false" }, isolated(example.dataset.label));
    button.addEventListener("click", () => showExample(i));
    choice.append(button);
    example.querySelector(".previous").addEventListener("click", () => showLayer(example, layer - 1));
    example.querySelector(".next").addEventListener("click", () => showLayer(example, layer + 1));
    example.querySelector(".slider").addEventListener("input", (event) => showLayer(example, Number(event.target.value)));
  });

  drawGallery();
  if (examples.length) showExample(0);
})();
