(() => {
  const maps = JSON.parse(document.getElementById("maps").textContent);
  const at = (id) => document.getElementById(id);
  const [subject, map, shows, slice] = ["map-subject", "map-of", "map-shows", "map-slice"].map(at);
  const canvas = at("map-canvas"), sheet = at("map-sheet"), mark = at("map-mark"), said = at("map-said");
  const memory = {};
  let box, levels, cursor, top;

  const values = {
    ratio: (ratio) => ratio,
    nc1: (ratio) => { const r = Math.max(ratio, 0); return r / (r + 1); },
    nc8: (ratio) => { const r = Math.max(ratio, 0); return r / (r + 1 / 8); },
  };
  const text = (x) => (Math.abs(x) >= 0.1 || x === 0 ? x.toFixed(2) : x.toFixed(3)).replace("-", "−");

  async function bytes(picture) {
    const image = new Image();
    image.src = picture;
    await image.decode();
    const paper = document.createElement("canvas");
    paper.width = image.width;
    paper.height = image.height;
    const pen = paper.getContext("2d", { willReadFrequently: true });
    pen.drawImage(image, 0, 0);
    const rgba = pen.getImageData(0, 0, image.width, image.height).data;
    return { of: (n) => rgba[4 * n], n: rgba.length / 4, width: image.width, height: image.height };
  }

  async function decoded(name, of) {
    const key = name + " " + of;
    if (key in memory) return memory[key];
    const { numbers, low, step } = maps[name].maps[of];
    const [sheet, digits] = await Promise.all([bytes(maps[name].sheet), bytes(numbers)]);
    const kind = new Uint8Array(sheet.n), ratio = new Float64Array(sheet.n).fill(NaN);
    for (let n = 0, voxel = 0; n < sheet.n; n++) {
      kind[n] = sheet.of(n);
      if (!kind[n]) continue;
      const level = 256 * digits.of(voxel) + digits.of(digits.n / 2 + voxel);
      if (level) ratio[n] = low + (level - 1) * step;
      voxel++;
    }
    return (memory[key] = { kind, ratio, width: sheet.width, height: sheet.height });
  }

  const pixel = (i, j, k) => {
    const [nx, ny] = box.size;
    return (Math.floor(k / box.columns) * ny + ny - 1 - j) * levels.width + (k % box.columns) * nx + i;
  };

  function ramp() {
    const style = getComputedStyle(document.documentElement);
    const stops = ["--map-low", "--" + map.value, "--map-high"].map((name) => {
      const hex = style.getPropertyValue(name).trim();
      return [1, 3, 5].map((n) => parseInt(hex.slice(n, n + 2), 16));
    });
    at("map-ramp").style.background =
      "linear-gradient(to right, " + stops.map((one) => "rgb(" + one.join(",") + ")").join(",") + ")";
    return (share) => {
      const [from, to, part] = share < 0.5 ? [stops[0], stops[1], 2 * share] : [stops[1], stops[2], 2 * share - 1];
      return from.map((one, n) => one + part * (to[n] - one));
    };
  }

  function drawn() {
    const [nx, ny, nz] = box.size, of = values[shows.value], colour = ramp();
    const picture = new ImageData(levels.width, levels.height);
    for (let n = 0; n < levels.kind.length; n++) {
      if (!levels.kind[n]) continue;
      const value = of(levels.ratio[n]);
      const share = Number.isNaN(value) ? 0 : Math.min(Math.max(value / top, 0), 1);
      picture.data.set([...colour(share), 255], 4 * n);
    }
    sheet.width = levels.width;
    sheet.height = levels.height;
    sheet.getContext("2d").putImageData(picture, 0, 0);
    const k = +slice.value - box.origin[2];
    canvas.width = nx;
    canvas.height = ny;
    canvas.getContext("2d").drawImage(sheet, (k % box.columns) * nx, Math.floor(k / box.columns) * ny, nx, ny, 0, 0, nx, ny);
    at("map-top").textContent = text(top);
    told();
  }

  const convention = (low) => (low === "L" ? "left is on the left (neurological convention)"
    : "left is on the right (radiological convention)");
  function sided() {
    const sides = box.sides || ["", ""];
    at("map-low").textContent = sides[0];
    at("map-high").textContent = sides[1];
    at("map-sides").textContent = box.sides
      ? "L and R are the person’s: " + convention(sides[0]) + ", by " + sides[2] + "."
      : "Which side is the person’s left, nothing here says for sure.";
  }

  function told() {
    const [nx, ny] = box.size, [i, j] = cursor, k = +slice.value - box.origin[2], n = pixel(i, j, k);
    mark.style.left = (100 * i) / nx + "%";
    mark.style.top = (100 * (ny - 1 - j)) / ny + "%";
    mark.style.width = 100 / nx + "%";
    mark.style.height = 100 / ny + "%";
    const here = at("map-here").style, rows = levels.height / ny;
    here.left = (100 * (k % box.columns)) / box.columns + "%";
    here.top = (100 * Math.floor(k / box.columns)) / rows + "%";
    here.width = 100 / box.columns + "%";
    here.height = 100 / rows + "%";
    at("map-k").textContent = slice.value;
    const place = "i " + (i + box.origin[0]) + ", j " + (j + box.origin[1]) + ", k " + slice.value;
    if (!levels.kind[n]) said.textContent = place + ": no voxel of these ROIs";
    else {
      const ratio = levels.ratio[n], value = values[shows.value](ratio);
      const number = Number.isNaN(ratio) ? "no number, as the voxel does not vary"
        : shows.selectedOptions[0].textContent + " " + text(value) + (ratio < 0 ? " (below 0, coloured as 0)" : "");
      said.textContent = place + ": " + number + "; " + box.kinds[levels.kind[n] - 1].join(", ");
    }
  }

  async function changed() {
    box = maps[subject.value];
    const there = Object.keys(box.maps);
    for (const option of map.options) option.hidden = option.disabled = !there.includes(option.value);
    if (!there.includes(map.value)) map.value = there[0];
    const [nx, ny, nz] = box.size, wanted = [subject.value, map.value];
    const beside = map.value === "perception" ? ["perception"] : ["vision", "imagery"].filter((one) => there.includes(one));
    const all = await Promise.all(beside.map((one) => decoded(subject.value, one)));
    if (wanted[0] !== subject.value || wanted[1] !== map.value) return;
    levels = all[beside.indexOf(map.value)];
    const sorted = all.flatMap((one) => [...one.ratio].filter((ratio) => !Number.isNaN(ratio))).sort((a, b) => a - b);
    top = Math.max(values[shows.value](sorted[Math.floor(0.99 * (sorted.length - 1))]), 1e-6);
    slice.min = box.origin[2];
    slice.max = box.origin[2] + nz - 1;
    if (slice.dataset.of !== subject.value) {
      slice.dataset.of = subject.value;
      middle(nx, ny, nz);
    }
    sided();
    drawn();
  }

  function middle(nx, ny, nz) {
    const counts = new Array(nz).fill(0);
    for (let k = 0; k < nz; k++) for (let j = 0; j < ny; j++) for (let i = 0; i < nx; i++) counts[k] += !!levels.kind[pixel(i, j, k)];
    const k = counts.indexOf(Math.max(...counts));
    slice.value = k + box.origin[2];
    let best = -Infinity;
    for (let j = 0; j < ny; j++) for (let i = 0; i < nx; i++) {
      const ratio = levels.ratio[pixel(i, j, k)];
      if (ratio > best) [best, cursor] = [ratio, [i, j]];
    }
  }

  const within = (x, n) => Math.min(Math.max(x, 0), n - 1);
  function pointed(event) {
    if (!levels) return;
    const area = canvas.getBoundingClientRect(), [nx, ny] = box.size;
    cursor = [within(Math.floor(((event.clientX - area.left) / area.width) * nx), nx),
      within(ny - 1 - Math.floor(((event.clientY - area.top) / area.height) * ny), ny)];
    told();
  }
  canvas.addEventListener("pointermove", pointed);
  canvas.addEventListener("pointerdown", pointed);
  sheet.addEventListener("pointerdown", (event) => {
    if (!levels) return;
    const area = sheet.getBoundingClientRect(), [nx, ny, nz] = box.size, rows = levels.height / ny;
    const k = Math.floor(((event.clientY - area.top) / area.height) * rows) * box.columns +
      Math.floor(((event.clientX - area.left) / area.width) * box.columns);
    slice.value = box.origin[2] + within(k, nz);
    drawn();
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0],
      PageUp: [0, 0, 1], PageDown: [0, 0, -1] }[event.key];
    if (!step || !levels) return;
    event.preventDefault();
    cursor = [within(cursor[0] + step[0], box.size[0]), within(cursor[1] + step[1], box.size[1])];
    slice.value = +slice.value + step[2];
    if (step[2]) drawn(); else told();
  });
  for (const one of [subject, map, shows]) one.addEventListener("change", changed);
  slice.addEventListener("input", () => levels && drawn());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => levels && drawn());
  changed();
})();
