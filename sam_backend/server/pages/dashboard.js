"use strict";
// Every value is set as text, never as HTML: reasons and names may hold anything.
const EVERY_MS = 3000;
const STAGES = { 1: "assisted", 2: "semi-automatic", 3: "automatic" };
const SVG = "http://www.w3.org/2000/svg";
const place = (id) => document.getElementById(id);

function node(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((one) => one !== null && one !== undefined));
  return made;
}
function drawn(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}
function show(id, ...children) { place(id).replaceChildren(...children.filter(Boolean)); }
const mute = (text) => node("p", { class: "mute" }, text);
const digits = (value, n = 2) => (value === null || value === undefined ? "–" : Number(value).toFixed(n));
const percent = (value) => `${(100 * value).toFixed(0)} %`;
const counted = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;
const known = (figure) => figure && typeof figure === "object" && figure.value !== undefined;
const interval = (figure, n = 2) =>
  known(figure) ? `${digits(figure.value, n)} (${digits(figure.low, n)} to ${digits(figure.high, n)})` : "too few";
const spread = (figure, n = 1) =>
  known(figure) ? node("span", { title: `95 % interval: ${interval(figure, n)}` }, `${digits(figure.value, n)} ± ${digits((figure.high - figure.low) / 2, n)}`) : "too few";
const stageClass = (stage) => (STAGES[stage] ? `s${stage}` : "s0");
const stageName = (stage) => (STAGES[stage] ? `stage\u00a0${stage}` : "no stage");
const moment = (text) => (text ? new Date(text).toLocaleString([], { dateStyle: "short", timeStyle: "short" }) : "–");

function table(heads, rows) {
  // a head that ends in # has numbers under it
  const isNumber = heads.map((head) => head.endsWith("#"));
  const cell = (tag, value, index) => {
    const made = node(tag, isNumber[index] ? { class: "number" } : {});
    made.append(value instanceof Node ? value : String(value ?? ""));
    return made;
  };
  const head = node("tr", {}, ...heads.map((one, index) => cell("th", one.replace("#", ""), index)));
  const body = node("tbody", {}, ...rows.map((row) => node("tr", {}, ...row.map((one, index) => cell("td", one, index)))));
  return node("div", { class: "scroll" }, node("table", {}, node("thead", {}, head), body));
}
function coloured(text, kind) { return node("span", { class: kind }, text); }

function scale(from, to, begin, end) {
  const span = to - from || 1;
  return (value) => begin + ((value - from) / span) * (end - begin);
}
function axes(svg, box, top, format = (value) => digits(value, top < 5 ? 1 : 0)) {
  const y = scale(0, top, box.bottom, box.top);
  for (const value of [0, top / 2, top]) {
    svg.append(drawn("line", { class: "axis", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }),
      drawn("text", { x: box.left - 5, y: y(value) + 4, "text-anchor": "end" }, format(value)));
  }
  return y;
}
const BOX = { left: 34, right: 392, top: 10, bottom: 150 };
const canvas = (label) => drawn("svg", { viewBox: "0 0 400 175", role: "img", "aria-label": label });

function course(board, figure, title, paperOf, budgetOf) {
  const stages = board.course.filter((told) => told.annotations);
  if (!stages.length) return [mute("Nothing has been submitted since the backend was connected. What came before is read by sam-backend dataset commit.")];
  const values = stages.flatMap((told) => told.points.map((point) => point[figure]).filter((value) => value !== null));
  if (!values.length) return [mute("What has been submitted has no masks on it.")];
  const policies = stages.map((told) => board.policies[told.stage]);
  const papers = policies.map((policy) => policy && paperOf(policy)), budgets = policies.map((policy) => policy && budgetOf(policy));
  const top = Math.max(1, ...values, ...papers.flatMap((paper) => paper || []), ...budgets.map((budget) => budget || 0)) * 1.05;
  const total = stages.reduce((sum, told) => sum + told.annotations, 0);
  const svg = canvas(`${title} as annotations came, by stage`);
  const y = axes(svg, BOX, top), x = scale(0, total, BOX.left, BOX.right);
  let done = 0;
  stages.forEach((told, place) => {
    const begin = done, end = done + told.annotations, paper = papers[place], budget = budgets[place];
    if (paper) svg.append(drawn("line", { class: "paper", x1: x(begin), x2: x(end), y1: y(paper[0]), y2: y(paper[1]) }));
    if (budget) svg.append(drawn("line", { class: "budget", x1: x(begin), x2: x(end), y1: y(budget), y2: y(budget) }));
    let at = begin;
    const dots = [];
    for (const point of told.points) {
      at += point.annotations;
      if (point[figure] !== null) dots.push([x(at), y(point[figure])]);
    }
    svg.append(drawn("polyline", { class: `curve ${stageClass(told.stage)}`, points: dots.map((dot) => dot.join(",")).join(" ") }));
    for (const [cx, cy] of dots) svg.append(drawn("circle", { class: stageClass(told.stage), cx, cy, r: 2 }));
    svg.append(drawn("text", { x: (x(begin) + x(end)) / 2, y: 168, "text-anchor": "middle" }, stageName(told.stage)));
    done = end;
  });
  const rows = stages.map((told, place) => [stageName(told.stage), told.annotations, told.masks,
    spread(told[figure].begin), spread(told[figure].end),
    papers[place] ? [...new Set(papers[place])].join(" → ") : budgets[place] ? `aim ${budgets[place]}` : "–"]);
  return [svg, table(["", "labelled#", "masks#", "begin#", "end#", "paper#"], rows)];
}

function tradeoff(board) {
  const points = board.trade_off.filter((one) => one.seconds_per_mask && one.gold_iou !== null);
  if (!points.length) return [mute("It takes people's answers to gold images: sam-backend gold score.")];
  const svg = canvas("IoU on gold against seconds a mask, by stage");
  const y = axes(svg, BOX, 1);
  const most = Math.max(...points.map((one) => one.seconds_per_mask.high)) * 1.15;
  const x = scale(0, most, BOX.left, BOX.right);
  for (const one of points) {
    const pace = one.seconds_per_mask, quality = one.gold_iou, kind = stageClass(one.stage);
    svg.append(drawn("line", { class: kind, x1: x(pace.low), x2: x(pace.high), y1: y(quality), y2: y(quality) }),
      drawn("circle", { class: kind, cx: x(pace.value), cy: y(quality), r: 5 }),
      drawn("text", { x: x(pace.value) + 8, y: y(quality) - 6 }, `${stageName(one.stage)}: ${digits(pace.value, 1)} s`));
  }
  svg.append(drawn("text", { x: BOX.right, y: 168, "text-anchor": "end" }, `0 to ${digits(most, 0)} seconds a mask`));
  return [svg];
}

function stage(board) {
  const told = board.stage;
  const steps = node("div", { class: "steps" }, ...Object.entries(STAGES).map(([number, name]) =>
    node("span", board.is_in_stage && number === told.policy.stage ? { class: "now" } : {}, `${number} ${name}`)));
  const gate = (way, one) => [way, one.gate.figure,
    one.reading ? (one.reading.low === one.reading.high ? digits(one.reading.value) : spread(one.reading, 2)) : "unknown",
    `${one.gate.is_least ? "at least" : "at most"} ${one.gate.bar}`,
    way === "up" ? coloured(one.passes ? "open" : "shut", one.passes ? "good" : "warn")
                 : coloured(one.passes ? "open" : "shut", one.passes ? "bad" : "good")];
  const rows = [...told.up.map((one) => gate("up", one)), ...told.down.map((one) => gate("down", one))];
  const since = told.move ? `For ${told.policy.aim}, since ${moment(told.move.at)}: ${told.move.reason}` : "In no stage yet: sam-backend stage begin. To leave stage 1 is asked:";
  return [steps, mute(since), table(["", "gate", "now", "asked", ""], rows)];
}

function triage(board) {
  const { masks, shares, tasks } = board.triage;
  if (!Object.values(masks).some(Boolean)) return [mute("Nothing has been prefilled yet.")];
  const bar = node("div", { class: "bar" });
  for (const [name, share] of Object.entries(shares)) {
    const part = node("i", { class: name, title: `${name} ${percent(share)}` });
    part.style.width = `${100 * share}%`;
    bar.append(part);
  }
  const done = Object.entries(tasks).map(([name, count]) => `${count} ${name}`).join(", ");
  return [bar, table(["", "masks#", "share#"], Object.keys(masks).map((name) => [name, masks[name], percent(shares[name])])), mute(`tasks: ${done}`)];
}

function dots(rows) {
  // name, figure
  const height = 22 * rows.length + 22;
  const svg = drawn("svg", { viewBox: `0 0 400 ${height}`, role: "img", "aria-label": "IoU on gold with 95 % intervals" });
  const x = scale(0, 1, 150, 352);
  for (const value of [0, 0.5, 1]) {
    svg.append(drawn("line", { class: "axis", x1: x(value), x2: x(value), y1: 0, y2: height - 18 }),
      drawn("text", { x: x(value), y: height - 4, "text-anchor": "middle" }, digits(value, 1)));
  }
  rows.forEach(([name, figure], index) => {
    const y = 14 + 22 * index;
    svg.append(drawn("text", { x: 0, y: y + 4 }, name.slice(0, 24)));
    if (!known(figure)) { svg.append(drawn("text", { x: x(0) + 6, y: y + 4 }, "too few")); return; }
    svg.append(drawn("line", { class: "s1", x1: x(figure.low), x2: x(figure.high), y1: y, y2: y }),
      drawn("circle", { class: "s1", cx: x(figure.value), cy: y, r: 4 }, drawn("title", {}, interval(figure))),
      drawn("text", { x: 388, y: y + 4, "text-anchor": "end" }, digits(figure.value)));
  });
  return svg;
}
const nameOf = (names, who) => names[who] || `user ${who}`;
function gold(board, names) {
  const people = board.people;
  if (!board.gold) return [mute("Nobody has met gold yet: sam-backend gold add, gold score.")];
  const rows = [["all people", board.gold.people && board.gold.people.matched_iou],
    ...(people || []).filter((one) => one.gold).map((one) => [nameOf(names, one.who), one.gold.matched_iou]),
    ...board.gold.models.map((one) => [one.who, one.matched_iou])];
  return [dots(rows), mute(`${board.gold.images} gold images, measured ${moment(board.gold.at)}${people ? "" : "; single people are shown behind a password only"}`)];
}

function calibration(board) {
  const told = board.calibration;
  if (!told) return [mute("Nothing is known of the served model: sam-backend quality calibrate.")];
  const rows = [["calibration error", `${digits(told.error_before, 3)} before, ${digits(told.error, 3)} after`],
    ["accepted from", told.accept_from === null ? "nothing is proven" : digits(told.accept_from, 3)],
    ["judged masks", told.masks]];
  const last = told.drift.at(-1);
  if (last) rows.push(["drift since", last.drift ? coloured(interval(last.drift, 2), last.contradicted ? "bad" : "good") : "too few masks judged since"]);
  const parts = [table(["", ""], rows), mute(told.explained)];
  const seen = told.drift.filter((one) => one.drift);
  if (seen.length > 1) {
    const svg = canvas("drift of the calibration as time went on");
    const y = scale(-0.3, 0.3, BOX.bottom, BOX.top), x = scale(0, seen.length - 1, BOX.left, BOX.right);
    for (const value of [-0.3, 0, 0.3]) svg.append(drawn("line", { class: "axis", x1: BOX.left, x2: BOX.right, y1: y(value), y2: y(value) }), drawn("text", { x: BOX.left - 5, y: y(value) + 4, "text-anchor": "end" }, digits(value, 1)));
    svg.append(drawn("polyline", { class: "curve s1", points: seen.map((one, index) => `${x(index)},${y(one.drift.value)}`).join(" ") }));
    parts.push(svg);
  }
  return parts;
}

function retrainings(board) {
  if (!board.retrainings.length) return [mute("None yet: sam-backend train, or Start Training in the project's Settings → Model.")];
  return [table(["when", "version", "outcome", "1-click mIoU#"], board.retrainings.map((one) => {
    const outcome = one.promoted === true ? coloured("promoted", "good")
      : one.promoted === false ? coloured("kept the champion", "warn")
      : coloured(one.state, one.state === "failed" ? "bad" : "mute");
    outcome.title = one.reason || "";
    return [moment(one.at), one.version || `job ${one.job}`, outcome, one.challenger_miou === null ? "–" : `${digits(one.champion_miou)} → ${digits(one.challenger_miou)}`];
  }))];
}
function lots(board) {
  if (!board.lots.length) return [mute("No bulk run of this project has been judged yet.")];
  const kind = { accept: "good", reject: "bad" };
  return [table(["when", "run", "verdict", "reviewed#", "defective#"], board.lots.map((one) =>
    [moment(one.at), node("span", { title: one.run }, one.run.slice(0, 8)), coloured(one.verdict, kind[one.verdict] || "warn"), `${one.reviewed} of ${one.images}`, one.defective]))];
}
function people(board, names) {
  const queues = board.queues;
  const waiting = queues.people
    ? `${counted(queues.tasks, "task")} in ${counted(queues.people, "queue")}, the longest has ${queues.longest}`
    : "Nobody has a queue: sam-backend tasks join, tasks balance";
  const head = mute(`${waiting}; in the last hour ` + (board.lately.annotations
    ? `${counted(board.lately.masks, "mask")} on ${counted(board.lately.annotations, "image")} came from ${counted(board.lately.people, "person", "people")}`
    : "nothing was submitted") + ".");
  if (!board.people) return [head, mute("Single people are shown where the backend asks for a password.")];
  return [head, table(["", "images#", "s a mask#", "IoU on gold#", "queue#"], board.people.map((one) =>
    [nameOf(names, one.who), one.annotations, known(one.seconds_per_mask) ? digits(one.seconds_per_mask.value, 1) : "–", one.gold && known(one.gold.matched_iou) ? digits(one.gold.matched_iou.value) : "–", one.queue]))];
}

const ms = (seconds) => `${(1000 * seconds).toFixed(0)} ms`;
function clicks(here) {
  const told = here.activity.clicks;
  if (!told.n) return [mute("Nobody has clicked since the start.")];
  const svg = canvas("the last clicks' latency");
  const top = Math.max(...told.last_s) * 1.1, y = axes(svg, BOX, top, ms), x = scale(0, Math.max(1, told.last_s.length - 1), BOX.left, BOX.right);
  told.last_s.forEach((one, index) => svg.append(drawn("circle", { class: "s1", cx: x(index), cy: y(one), r: 2.5 })));
  const parts = Object.entries(told.parts_s).map(([name, value]) => `${name} ${ms(value)}`).join(", ");
  return [table(["clicks#", "p50#", "p95#"], [[told.n, ms(told.p50_s), ms(told.p95_s)]]), parts ? mute(`median: ${parts}`) : null, svg];
}
function server({ status: told, activity }) {
  const asked = told.embeddings.from_cache + told.embeddings.encoded + told.embeddings.shared;
  const hits = asked ? (told.embeddings.from_cache + told.embeddings.shared) / asked : 0;
  return [table(["", ""], [
    ["model", `${told.model.version} (${told.model.state})`],
    ["device busy, last minute", percent(activity.device_busy_share)],
    ["work waiting", told.work.waiting],
    ["embeddings from the cache", asked ? `${percent(hits)} of ${asked}` : "none asked for"],
    ["requests that failed", `${activity.errors} of the last ${activity.requests}`],
    ["jobs", told.jobs_failure || told.jobs.slice(0, 3).map((one) => `${one.kind} ${one.state}`).join(", ") || "none"],
  ])];
}
function tiles(board, told) {
  const tile = (value, text) => node("div", { class: "tile" }, node("b", {}, value), node("span", {}, text));
  const parts = [];
  if (board) {
    const all = board.course || [], now = all.at(-1);  // a part that failed is null
    parts.push(tile(board.is_in_stage && board.stage ? board.stage.policy.stage : "–", "stage"),
      tile(now && known(now.seconds_per_mask.end) ? `${digits(now.seconds_per_mask.end.value, 1)} s` : "–", "a mask, lately"),
      tile(now && known(now.masks_per_image.end) ? digits(now.masks_per_image.end.value, 1) : "–", "masks an image, lately"),
      tile(String(all.reduce((sum, one) => sum + one.masks, 0)), "masks"),
      tile(board.gold && board.gold.people && known(board.gold.people.matched_iou) ? digits(board.gold.people.matched_iou.value) : "–", "people's IoU on gold"));
  }
  parts.push(tile(told && told.activity.clicks.n ? ms(told.activity.clicks.p50_s) : "–", "a click, median"));
  return parts;
}
function journal({ status }) {
  if (!status.journal.length) return [mute("Nothing since the start.")];
  return [table(["time (UTC)", "", "what", "reason"], status.journal.map((one) =>
    [one.at, coloured(one.level, one.level === "error" ? "bad" : "warn"), one.subject, one.reason]))];
}

function render(told) {
  const chooser = place("project"), chosen = chosenProject();
  if (chooser.dataset.known !== told.projects.join()) {
    chooser.replaceChildren(...told.projects.map((number) => node("option", { value: number }, String(number))));
    chooser.dataset.known = told.projects.join();
    if (chosen) chooser.value = chosen;
  }
  const { board, server: here } = told;
  draw("alerts", () => told.alerts.map((one) => node("div", { class: `alert ${one.severity}` }, node("b", {}, one.rule.replaceAll("_", " ")), one.reason)));
  draw("tiles", () => tiles(board, here));
  for (const [id, [parts, drawing]] of Object.entries(OF_PROJECT)) {
    const failed = board && parts.find((part) => board.failures[part] !== undefined);
    draw(id, () => (!board ? [mute(told.failure)]
      : failed ? [mute(`This cannot be shown: ${board.failures[failed]}`)] : drawing(board, told.names)));
  }
  for (const [id, drawing] of Object.entries(OF_SERVER)) {
    draw(id, () => (here ? drawing(here) : [mute(`This cannot be shown: ${told.server_failure}`)]));
  }
}

// Panels of a project: the parts of its board that each one needs, and what draws it.
const OF_PROJECT = {
  stage: [["stage"], stage],
  seconds: [["course"], (board) => course(board, "seconds_per_mask", "seconds a mask", (policy) => policy.paper_seconds_a_mask, (policy) => policy.seconds_a_mask)],
  masks: [["course"], (board) => course(board, "masks_per_image", "masks an image", (policy) => policy.paper_masks_an_image, () => null)],
  tradeoff: [["trade_off"], tradeoff],
  triage: [["triage"], triage],
  gold: [["gold"], gold],
  calibration: [["calibration"], calibration],
  retrainings: [["retrainings"], retrainings],
  lots: [["lots"], lots],
  people: [["queues", "lately", "people"], people],
};
const OF_SERVER = { clicks, server, journal };
const PANELS = [...Object.keys(OF_PROJECT), ...Object.keys(OF_SERVER)];

function draw(id, drawing) {
  // A panel that cannot be drawn says so; the others are none the worse.
  try {
    show(id, ...drawing());
  } catch (error) {
    console.error(error);
    show(id, mute(`This cannot be shown: ${error.message}`));
  }
}

const chosenProject = () => new URLSearchParams(location.search).get("project");
async function refresh() {
  const live = place("live");
  try {
    const chosen = chosenProject();
    const answer = await fetch(`/dashboard/figures${chosen ? `?project=${encodeURIComponent(chosen)}` : ""}`);
    const told = await answer.json();
    if (!answer.ok) throw new Error(told.error || told.detail || answer.statusText);
    render(told);
    live.textContent = `live, ${new Date().toLocaleTimeString()}`;
    live.className = "";
  } catch (error) {
    live.textContent = `not live: ${error.message}`;
    live.className = "away";
    for (const id of PANELS) if (!place(id).hasChildNodes()) show(id, mute(`No figures yet: ${error.message}`));
  }
  setTimeout(refresh, EVERY_MS);
}
place("project").addEventListener("change", (event) => {
  history.replaceState(null, "", `?project=${encodeURIComponent(event.target.value)}`);
});
refresh();
