"use strict";
(() => {
  const block = document.getElementById("data");
  const data = JSON.parse(block.textContent);
  const texts = data.texts;
  const numbers = new Intl.NumberFormat("en");
  const collator = new Intl.Collator(data.language, { numeric: true, sensitivity: "base" });
  const fill = (text, ...values) => {
    let next = 0;
    return text.replace(/\{(\d?)\}/g, (_, place) => {
      const number = place === "" ? next : Number(place);
      next = number + 1;
      return values[number] ?? "";
    });
  };
  const size = (bytes) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let unit = 0;
    while (bytes >= 1024 && unit < units.length - 1) {
      bytes /= 1024;
      unit += 1;
    }
    return (unit === 0 ? String(bytes) : bytes.toFixed(1)) + " " + units[unit];
  };
  const make = (tag, values, ...children) => {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(values ?? {})) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const draw = (tag, values) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(values)) element.setAttribute(key, value);
    return element;
  };

  // Tables: a button in each head sorts, a field above long ones searches.
  const plain = (text) => text.normalize("NFKC").toLocaleLowerCase();
  const sortable = (table) => {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (head.classList.contains("x")) return;
      const button = make("button", { type: "button" }, head.textContent);
      head.replaceChildren(button);
      const isNumber = head.classList.contains("n");
      const key = (row) => {
        const cell = row.cells[column];
        return cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v);
      };
      button.addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        const down = before ? before === "ascending" : isNumber;
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].map((row) => [key(row), row]);
        rows.sort(([left], [right]) => {
          const order = typeof left === "number" && typeof right === "number"
            ? left - right
            : collator.compare(String(left), String(right));
          return down ? -order : order;
        });
        body.append(...rows.map(([, row]) => row));
      });
    });
  };
  const searchable = (table) => {
    const rows = [...table.tBodies[0].rows];
    if (rows.length < 8) return;
    const field = make("input", { type: "search" });
    const found = make("output", { "aria-live": "polite" });
    const label = make("label", {}, texts.search, field);
    const known = rows.map((row) => plain(row.textContent));
    field.addEventListener("input", () => {
      const wanted = plain(field.value.trim());
      let count = 0;
      rows.forEach((row, place) => {
        row.hidden = !known[place].includes(wanted);
        if (!row.hidden) count += 1;
      });
      found.textContent = wanted === ""
        ? ""
        : fill(texts.matches, numbers.format(count), numbers.format(rows.length));
    });
    table.closest(".scroll").before(make("div", { class: "search" }, label, found));
  };
  for (const table of document.querySelectorAll("table.list")) {
    sortable(table);
    searchable(table);
  }

  // The treemap: areas in squarified rows (Bruls, Huizing, van Wijk 2000).
  const map = document.getElementById("map");
  if (!map || !data.tree || data.tree.length < 2) return;
  const nodes = data.tree.map(([parent, name, bytes, files], id) => ({ id, parent, name, bytes, files, below: [] }));
  nodes.slice(1).forEach((node) => nodes[node.parent].below.push(node));
  nodes[0].name = texts.top;
  const squarify = (items, x, y, width, height) => {
    const areas = [];
    const total = items.reduce((sum, item) => sum + item.bytes, 0);
    let scale = total > 0 ? (width * height) / total : 0;
    let rest = items.slice();
    while (rest.length > 0 && width > 0 && height > 0 && scale > 0) {
      const side = Math.min(width, height);
      let row = [];
      let sum = 0;
      let worst = Infinity;
      while (row.length < rest.length) {
        const next = rest[row.length];
        const more = sum + next.bytes * scale;
        const largest = (row[0] ?? next).bytes * scale;
        const least = next.bytes * scale;
        const ratio = Math.max((side * side * largest) / (more * more), (more * more) / (side * side * least));
        if (ratio > worst) break;
        row.push(next);
        sum = more;
        worst = ratio;
      }
      const thick = sum / side;
      let place = 0;
      for (const item of row) {
        const long = (item.bytes * scale) / thick;
        areas.push(width >= height
          ? { item, x, y: y + place, width: thick, height: long }
          : { item, x: x + place, y, width: long, height: thick });
        place += long;
      }
      if (width >= height) {
        x += thick;
        width -= thick;
      } else {
        y += thick;
        height -= thick;
      }
      rest = rest.slice(row.length);
    }
    return areas;
  };
  const parts = (node) => {
    const known = node.below.reduce((sum, child) => sum + child.bytes, 0);
    const files = node.below.reduce((sum, child) => sum + child.files, 0);
    const rest = { name: texts.rest, bytes: node.bytes - known, files: node.files - files, below: [], rest: true };
    const all = rest.bytes > 0 ? [...node.below, rest] : [...node.below];
    return all.filter((part) => part.bytes > 0).sort((left, right) => right.bytes - left.bytes);
  };
  const wide = (character) => (character.codePointAt(0) > 0x1100 ? 12.5 : 7.2);
  const fit = (text, width) => {
    let used = 0;
    let short = "";
    for (const character of text) {
      used += wide(character);
      if (used > width) return short.length > 1 ? short + "\u2026" : "";
      short += character;
    }
    return short;
  };
  const path = make("ol");
  const trail = make("nav", { "aria-label": texts.path }, path);
  const picture = draw("svg", { role: "group", "aria-label": texts.map });
  map.append(make("p", { class: "note" }, texts.help), trail, picture);
  map.hidden = false;
  let here = nodes[0];
  const show = (node, focus) => {
    here = node;
    const line = [];
    for (let step = node; ; step = nodes[step.parent]) {
      line.unshift(step);
      if (step.id === 0) break;
    }
    path.replaceChildren(...line.map((step) => {
      const name = make("bdi", {}, step.name);
      if (step === node) return make("li", { "aria-current": "true" }, name, " " + size(step.bytes));
      const button = make("button", { type: "button" }, name);
      button.addEventListener("click", () => show(step, line[line.indexOf(step) + 1]));
      return make("li", {}, button);
    }));
    const width = Math.max(240, map.clientWidth);
    const height = Math.round(Math.min(460, Math.max(280, width * 0.5)));
    picture.setAttribute("viewBox", "0 0 " + width + " " + height);
    picture.setAttribute("height", height);
    const cells = squarify(parts(node), 0, 0, width, height).map((area, place) => {
      const { item } = area;
      const opens = item.below.length > 0;
      const cell = draw("g", { class: opens ? "cell open" : "cell", tabindex: "0", role: opens ? "button" : "img" });
      const label = item.name + ", " + size(item.bytes) + ", " + fill(texts.files, numbers.format(item.files));
      cell.setAttribute("aria-label", label);
      const title = draw("title", {});
      title.textContent = label;
      cell.append(title, draw("rect", {
        class: "face " + (item.rest ? "m7" : "m" + (place % 7)),
        x: area.x, y: area.y, width: area.width, height: area.height,
      }));
      if (opens && area.width > 60 && area.height > 60) {
        const inner = squarify(parts(item), area.x + 4, area.y + 40, area.width - 8, area.height - 44);
        for (const part of inner) {
          cell.append(draw("rect", { class: "in", x: part.x, y: part.y, width: part.width, height: part.height }));
        }
      }
      const room = area.width - 14;
      if (room > 20 && area.height > 20) {
        const name = draw("text", { x: area.x + 7, y: area.y + 17 });
        name.textContent = "\u2068" + fit(item.name, room) + "\u2069";
        cell.append(name);
        if (area.height > 38) {
          const figure = draw("text", { class: "s", x: area.x + 7, y: area.y + 33 });
          figure.textContent = fit(size(item.bytes), room);
          cell.append(figure);
        }
      }
      if (opens) {
        cell.addEventListener("click", () => show(item, null));
        cell.addEventListener("keydown", (event) => {
          if (event.key !== "Enter" && event.key !== " ") return;
          event.preventDefault();
          show(item, "first");
        });
      }
      return [item, cell];
    });
    picture.replaceChildren(...cells.map(([, cell]) => cell));
    const wanted = focus === "first" ? cells[0] : cells.find(([item]) => item === focus);
    if (wanted) wanted[1].focus();
  };
  map.addEventListener("keydown", (event) => {
    if ((event.key !== "Escape" && event.key !== "Backspace") || here.id === 0) return;
    event.preventDefault();
    show(nodes[here.parent], here);
  });
  show(here, null);
  let width = map.clientWidth;
  new ResizeObserver(() => {
    if (map.clientWidth === width) return;
    width = map.clientWidth;
    show(here, null);
  }).observe(map);
})();
