// The page of a review: draws what session.py's view says and sends each key as one message.
// Every text of a paper, a pair or a person is set by textContent alone: none of it is ever read as HTML.

const NO_ANSWER = "No answer from the kernel: nothing that you press is saved now. When it runs again, run this cell "
  + "again: it goes on where the file stops.";
const DONE = "Every pair is scored or skipped, and all of it is saved. Thank you! When all have finished, rater = None "
  + "shows the agreement.";
const VEIL = "The paper is shown when agnosticism is scored: can the question be understood without it?";
const PATIENCE = 2500; // milliseconds until a key that was not answered is said to be lost
const LOOK_AGAIN = 400; // milliseconds until evidence that was not found yet is asked for again
const KEYS = [
  ["1 2 3", "score and move on"],
  ["b  Backspace", "back to what was scored before"],
  ["↑ ↓  k j", "dimension above, below"],
  ["← →", "pair before, after"],
  ["s", "skip this pair, without scores"],
  ["n", "next pair without scores, skipped ones too"],
  ["c", "comment: Enter keeps it, Esc does not"],
  ["e", "next evidence in the paper"],
  ["Space  PgUp PgDn", "scroll the paper"],
  ["l", "levels of all dimensions"],
  ["?", "these keys"],
];

function make(parent, tag, name, text) {
  const element = document.createElement(tag);
  element.className = name ? `sciqag-${name}` : "";
  if (text !== undefined) element.textContent = text;
  parent?.append(element);
  return element;
}

// The paper, a paragraph for each of its lines ----------------------------------------------------------------------

class Paper {
  constructor(parent) {
    this.pane = make(parent, "div", "paper");
    this.text = make(this.pane, "div", "text");
    this.veil = make(this.pane, "div", "veil");
    this.text.hidden = true;
    this.lines = [];
    this.marks = [];
    this.spans = "";
  }

  show(message) {
    const page = document.createDocumentFragment();
    make(page, "h3", "title", message.title || message.doi);
    if (message.title) make(page, "div", "doi", message.doi);
    this.lines = [];
    let start = 0;
    for (const text of message.txt.split("\n")) {
      if (text.trim()) {
        const heading = text.length < 100 && !/[.!?:;,]\s*$/.test(text);
        this.lines.push({ element: make(page, "p", heading ? "heading" : "", text), text, start });
      }
      start += text.length + 1;
    }
    this.text.replaceChildren(page);
    this.marks = [];
    this.spans = "";
  }

  hide(reason) { // the text stays: the pairs of a paper follow each other
    this.veil.textContent = reason;
    this.veil.hidden = false;
    this.text.hidden = true;
  }

  unveil() {
    if (!this.text.hidden) return;
    this.veil.hidden = true;
    this.text.hidden = false;
    this.spans = "";
    this.pane.scrollTop = 0;
  }

  highlight(spans) {
    if (JSON.stringify(spans) === this.spans) return; // else each key would scroll the paper back
    this.spans = JSON.stringify(spans);
    for (const line of this.lines) if (line.marked) line.element.textContent = line.text;
    this.marks = [];
    for (const line of this.lines) {
      const end = line.start + line.text.length;
      const inside = spans.filter(([from, to]) => from < end && to > line.start);
      line.marked = inside.length > 0;
      if (line.marked) this.cut(line, inside);
    }
    this.visit(0);
  }

  cut(line, spans) {
    line.element.replaceChildren();
    let at = 0;
    for (const [from, to] of spans) {
      const start = Math.max(from - line.start, 0);
      line.element.append(line.text.slice(at, start));
      at = Math.min(to - line.start, line.text.length);
      this.marks.push(make(line.element, "mark", "evidence", line.text.slice(start, at)));
    }
    line.element.append(line.text.slice(at));
  }

  visit(number) {
    this.visited = this.marks.length ? number % this.marks.length : 0;
    this.marks.forEach((mark, place) => mark.classList.toggle("sciqag-visited", place === this.visited));
    const mark = this.marks[this.visited];
    if (mark) this.pane.scrollTop = mark.offsetTop - this.pane.clientHeight / 4;
  }

  scroll(pages) {
    this.pane.scrollBy({ top: 0.85 * pages * this.pane.clientHeight });
  }
}

// One dimension: its question, its levels, its score ------------------------------------------------------------------

class Dimension {
  constructor(parent, description, number, choose) {
    this.name = description.name;
    this.box = make(parent, "div", "dimension");
    const head = make(this.box, "div", "head");
    this.pill = make(head, "span", "pill");
    make(head, "span", "name", description.name);
    make(this.box, "div", "asks", description.asks);
    this.levels = description.levels.map(({ score, label }) => {
      const level = make(this.box, "div", "level");
      make(level, "kbd", "", String(score));
      make(level, "span", "", label);
      level.addEventListener("click", () => choose(this.name, score));
      return { score, level };
    });
  }

  show(view) {
    const score = view.scores[this.name];
    const current = !view.finished && view.current === this.name;
    this.box.classList.toggle("sciqag-current", current);
    this.box.classList.toggle("sciqag-closed", !view.open.includes(this.name));
    this.pill.textContent = score ?? (view.is_skipped ? "–" : "");
    this.pill.classList.toggle("sciqag-given", score !== undefined);
    for (const { score: value, level } of this.levels) level.classList.toggle("sciqag-given", value === score);
    if (current) this.reveal(this.box.closest(".sciqag-side"));
  }

  reveal(pane) { // not scrollIntoView, which would move the notebook too
    const [box, seen] = [this.box.getBoundingClientRect(), pane.getBoundingClientRect()];
    if (box.bottom > seen.bottom) pane.scrollTop += box.bottom - seen.bottom + 8;
    if (box.top < seen.top) pane.scrollTop -= seen.top - box.top + 8;
  }
}

// The whole -----------------------------------------------------------------------------------------------------------

class Page {
  constructor(model, parent) {
    this.model = model;
    this.number = 0;
    this.waiting = new Map();
    this.root = make(parent, "div", "review");
    this.root.tabIndex = 0;
    // Keeps JupyterLab's one-letter commands off: its command registry passes over keys pressed below this attribute.
    this.root.setAttribute("data-lm-suppress-shortcuts", "true");
    this.build();
    this.root.addEventListener("keydown", (event) => this.press(event));
    this.watch = new IntersectionObserver((seen) => { this.inSight = seen.at(-1).isIntersecting; });
    this.watch.observe(this.question);
  }

  build() {
    const bar = make(this.root, "div", "bar");
    this.count = make(bar, "span", "count");
    const track = make(bar, "div", "track");
    this.scored = make(track, "div", "scored");
    this.skipped = make(track, "div", "skipped");
    this.progress = make(bar, "span", "progress");
    const hint = make(bar, "span", "hint", "click here to use the keys");
    hint.setAttribute("aria-hidden", "true");
    this.notice = make(this.root, "div", "notice");
    this.notice.setAttribute("role", "status");
    const body = make(this.root, "div", "body");
    this.paper = new Paper(body);
    const side = make(body, "div", "side");
    make(side, "div", "label", "Question");
    this.question = make(side, "div", "question");
    this.answerLabel = make(side, "div", "label", "Answer");
    this.answer = make(side, "div", "answer");
    this.scale = make(side, "div", "scale");
    this.comment = make(side, "div", "comment");
    this.box = make(side, "textarea", "box");
    this.box.rows = 3;
    this.box.placeholder = "Comment on this pair. Enter keeps it, Esc does not.";
    this.box.hidden = true;
    this.box.addEventListener("blur", () => this.closeComment(true));
    const foot = make(this.root, "div", "foot");
    this.digits = ["1 2 3", "b", "s", "c", "e", "?"].map((keys, place) => {
      const key = make(foot, "kbd", "", keys);
      make(foot, "span", "what", ["score", "back", "skip", "comment", "next evidence", "all keys"][place]);
      return key;
    })[0];
    this.help = make(this.root, "div", "help");
    this.help.hidden = true;
    const table = make(this.help, "div", "keys");
    for (const [keys, meaning] of KEYS) {
      make(table, "kbd", "", keys);
      make(table, "span", "", meaning);
    }
  }

  send(action, value) {
    const number = ++this.number;
    this.waiting.set(number, setTimeout(() => this.say(NO_ANSWER, true), PATIENCE));
    this.model.send({ action, value, number, seen: this.view?.place });
  }

  receive(message) {
    if (message.kind === "scale") this.showScale(message);
    if (message.kind === "paper") this.paper.show(message);
    if (message.kind === "view") {
      clearTimeout(this.waiting.get(message.number));
      this.waiting.delete(message.number);
      this.show(message.view);
      this.say(message.notice, false);
    }
  }

  showScale(message) {
    this.top = message.top;
    const digits = Array.from({ length: message.top }, (_, n) => n + 1).join(" ");
    this.digits.textContent = this.help.querySelector("kbd").textContent = digits;
    this.scale.replaceChildren();
    this.dimensions = message.dimensions.map((description, number) =>
      new Dimension(this.scale, description, number, (name, score) => this.choose(name, score)));
  }

  show(view) {
    const samePair = this.view?.place === view.place;
    this.view = view;
    this.root.dataset.place = view.place;
    this.root.dataset.current = view.finished ? "" : view.current;
    this.count.textContent = view.finished ? "All done" : `Pair ${view.place + 1} of ${view.total}`;
    this.scored.style.width = `${(100 * view.scored) / view.total}%`;
    this.skipped.style.width = `${(100 * view.skipped) / view.total}%`;
    this.progress.textContent = `${view.scored} scored, ${view.skipped} skipped · ${view.rater}`;
    this.question.textContent = view.question;
    this.answer.textContent = view.answer ?? "shown when relevance is scored";
    this.answer.classList.toggle("sciqag-veil", view.answer === null);
    if (view.paper === null) this.paper.hide(VEIL);
    else {
      this.paper.unveil();
      this.paper.highlight(view.spans ?? []);
      if (view.answer !== null && !view.spans) this.look();
    }
    for (const dimension of this.dimensions) dimension.show(view);
    this.comment.textContent = view.comment;
    this.comment.hidden = !view.comment;
    if (!samePair) this.closeComment(false);
  }

  look() {
    clearTimeout(this.looking);
    this.looking = setTimeout(() => this.send("look"), LOOK_AGAIN);
  }

  say(text, grave) {
    const searching = this.view && this.view.answer !== null && !this.view.spans;
    const done = this.view?.finished ? DONE : searching ? "Looking for the evidence in the paper …" : "";
    this.notice.textContent = text || done;
    this.notice.classList.toggle("sciqag-grave", grave || text.startsWith("not saved"));
  }

  choose(name, score) {
    if (!this.view.open.includes(name)) return;
    const step = this.dimensions.findIndex((one) => one.name === name)
      - this.dimensions.findIndex((one) => one.name === this.view.current);
    if (step) this.send("dimension", step);
    this.send("score", score);
  }

  toggleLevels() {
    this.root.classList.toggle("sciqag-all");
    for (const dimension of this.dimensions) dimension.show(this.view); // brings the current one into sight
  }

  openComment() {
    this.box.value = this.view.comment;
    this.box.hidden = false;
    this.box.focus();
  }

  closeComment(keep) {
    if (this.box.hidden) return;
    this.box.hidden = true; // first: hiding it makes it lose the focus, which closes it
    if (keep && this.box.value.trim() !== this.view.comment) this.send("comment", this.box.value);
    this.root.focus({ preventScroll: true });
  }

  press(event) {
    if (event.isComposing) return;
    if (event.target === this.box) {
      if (event.key === "Escape") this.closeComment(false);
      if (event.key === "Enter" && !event.shiftKey) this.closeComment(true);
      if (event.key === "Escape" || (event.key === "Enter" && !event.shiftKey)) event.preventDefault();
      return;
    }
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") {
      event.preventDefault();
      this.say("Nothing to do: each score is saved as you give it.", false);
    }
    if (event.ctrlKey || event.metaKey || event.altKey || !this.view) return;
    if (!this.inSight && event.key !== "Tab") { // scrolled away, and still what the keys go to
      this.appear();
      this.say("not counted: the question was out of sight", false);
      event.preventDefault();
    } else if (this.act(event)) event.preventDefault();
  }

  // "Run all cells" ends at the last cell; a review that was just opened is what its rater wants to see.
  appear() {
    const typing = document.activeElement?.closest?.("textarea, input, [contenteditable=true]");
    if (typing && !this.root.contains(typing)) return;
    if (!this.inSight) this.root.scrollIntoView({ block: "center" });
    this.root.focus({ preventScroll: true });
  }

  act(event) {
    const digit = readDigit(event);
    if (!this.help.hidden && (event.key === "Escape" || event.key === "?")) {
      this.help.hidden = true;
      return true;
    }
    if (digit >= 1 && digit <= this.top) {
      if (!event.repeat) this.send("score", digit); // a key held down scores once
      return true;
    }
    const once = { s: ["skip"], b: ["back"], Backspace: ["back"], n: ["unscored"] }[event.key];
    if (once) {
      if (!event.repeat) this.send(...once);
      return true;
    }
    const move = { ArrowDown: ["dimension", 1], j: ["dimension", 1], ArrowUp: ["dimension", -1], k: ["dimension", -1],
      ArrowRight: ["pair", 1], ArrowLeft: ["pair", -1] }[event.key];
    if (move) this.send(...move);
    const local = { c: () => this.openComment(), e: () => this.paper.visit(this.paper.visited + 1),
      l: () => this.toggleLevels(), "?": () => { this.help.hidden = false; },
      PageDown: () => this.paper.scroll(1), PageUp: () => this.paper.scroll(-1),
      " ": () => this.paper.scroll(event.shiftKey ? -1 : 1) }[event.key];
    local?.();
    // Other single keys do nothing here; letting them through would move the notebook or click a button.
    return Boolean(move || local) || (event.key.length === 1 && event.target === this.root);
  }
}

function readDigit(event) {
  if (/^[0-9]$/.test(event.key)) return Number(event.key);
  const place = /^Digit([0-9])$/.exec(event.code); // the same key on a French keyboard writes "&" without Shift
  return place && !event.shiftKey ? Number(place[1]) : NaN;
}

function render({ model, el }) {
  const page = new Page(model, el);
  const receive = (message) => page.receive(message);
  model.on("msg:custom", receive);
  page.send("ready");
  const timers = [150, 1000].map((delay) => setTimeout(() => page.appear(), delay)); // twice: cells may still run
  return () => {
    timers.forEach(clearTimeout);
    page.watch.disconnect();
    clearTimeout(page.looking);
    page.waiting.forEach((timer) => clearTimeout(timer));
    model.off("msg:custom", receive);
  };
}

export default { render };
