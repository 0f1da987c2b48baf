(() => {
  const find = (id) => document.getElementById(id);
  const data = JSON.parse(find("data").textContent);
  const areas = find("areas");
  const paths = [...areas.querySelectorAll("path")];
  const words = data.words;
  const language = document.documentElement.lang;
  const number = new Intl.NumberFormat(language === "en" ? "en-GB" : language);
  const SVG = "http://www.w3.org/2000/svg";
  document.documentElement.classList.add("js");

  function show(view) {
    const day = Number(find("day").value);
    const shown = view === "day" ? data.days[day] : data.views[view];
    areas.setAttribute("class", view === "change" ? "change" : "count");
    find("legend-change").hidden = view !== "change";
    find("legend-count").hidden = view === "change";
    paths.forEach((path, place) => {
      path.classList.remove("c0", "c1", "c2", "c3", "c4", "cw", "cn");
      path.classList.add("c" + shown.classes[place]);
    });
    find("caption").textContent = shown.caption;
    find("map-description").textContent = shown.description;
    find("day-name").textContent = data.days[day].name;
  }

  function text(value) {
    if (value === "w") return words.cell_withheld;
    if (value === "n") return words.cell_no_data;
    return number.format(value);
  }

  function element(name, attributes, content) {
    const made = document.createElementNS(SVG, name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    if (content !== undefined) made.textContent = content;
    return made;
  }

  // A line from week to week that breaks where a count is withheld or missing.
  function draw(values) {
    const line = find("line");
    const top = Math.max(1, ...values.filter((value) => typeof value === "number"));
    const x = (n) => 45 + (values.length > 1 ? (350 * n) / (values.length - 1) : 0);
    const y = (value) => 115 - (85 * value) / top;
    let path = "";
    let open = false;
    line.replaceChildren(element("path", { d: "M20 115H420", style: "stroke:#8a8a8a;stroke-width:1" }));
    const step = Math.ceil(values.length / 4);
    values.forEach((value, n) => {
      const known = typeof value === "number";
      if (known) {
        path += (open ? "L" : "M") + x(n) + " " + y(value);
        line.append(element("circle", { cx: x(n), cy: y(value), r: 4 }));
      }
      open = known;
      if (n % step === 0 || n === values.length - 1) {
        line.append(element("text", { x: x(n), y: known ? y(value) - 9 : 106 }, text(value)));
        line.append(element("text", { x: x(n), y: 135 }, data.periods[n]));
      }
    });
    line.append(element("path", { d: path }));
    find("line-text").textContent = values.map((value, n) => data.periods[n] + ": " + text(value)).join("; ");
  }

  function choose(place) {
    paths.forEach((path) => path.classList.remove("found"));
    find("card").hidden = place === "";
    if (place === "") return;
    // Over its neighbours, so that the whole border is seen.
    paths[place].classList.add("found");
    areas.append(paths[place]);
    find("card-name").textContent = data.names[place];
    find("card").querySelectorAll("dd").forEach((each, n) => { each.textContent = data.rows[place][n]; });
    draw(data.numbers[place].slice(0, data.periods.length));
  }

  const controls = find("controls");
  controls.addEventListener("change", (event) => {
    if (event.target.name === "view") show(event.target.value);
  });
  find("day").addEventListener("input", () => {
    controls.elements.view.value = "day";
    show("day");
  });
  find("find").addEventListener("change", (event) => choose(event.target.value));
  paths.forEach((path, place) => path.addEventListener("click", () => {
    find("find").value = String(place);
    choose(String(place));
  }));
  // A browser keeps what was chosen when a page is loaded again.
  show(controls.elements.view.value);
})();
