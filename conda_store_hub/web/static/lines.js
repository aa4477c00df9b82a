function countLines(text) {
  let count = 1;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) {
    count += 1;
  }
  return count;
}

// The numbers of a text's lines, and the line that something is wrong with.
export class Lines {
  constructor(text, numbers, said) {
    this.text = text;
    this.numbers = numbers;
    this.said = said;
    this.fault = null;
    text.addEventListener("scroll", () => this.follow());
    new ResizeObserver(() => this.fit()).observe(text);
    this.draw();
  }

  // `fault` has a line, a column and a message; null for none.
  show(fault) {
    this.fault = fault;
    this.said.textContent = fault?.message ? `Line ${fault.line}: ${fault.message}` : "";
    this.draw();
  }

  // A lock file may have a hundred thousand lines: they are written anew only if there are more or fewer, or another fault.
  draw() {
    const count = countLines(this.text.value);
    const drawn = `${count}:${this.fault?.line ?? 0}`;
    if (drawn === this.drawn) {
      return;
    }
    this.drawn = drawn;
    const all = Array.from({ length: count }, (_, index) => index + 1);
    const at = this.fault ? this.fault.line : 0;
    if (at < 1 || at > count) {
      this.numbers.textContent = all.join("\n");
    } else {
      const mark = document.createElement("span");
      mark.className = "fault-line";
      mark.textContent = String(at);
      const before = all.slice(0, at - 1).map((number) => `${number}\n`);
      const after = all.slice(at).map((number) => `\n${number}`);
      this.numbers.replaceChildren(before.join(""), mark, after.join(""));
    }
    this.fit();
  }

  fit() {
    this.numbers.style.height = `${this.text.offsetHeight}px`;
    this.follow();
  }

  follow() {
    this.numbers.scrollTop = this.text.scrollTop;
  }

  // Puts the cursor there.
  goTo({ line, column }) {
    const before = this.text.value.split("\n").slice(0, line - 1);
    const start = before.reduce((sum, each) => sum + each.length + 1, 0) + (column ?? 1) - 1;
    this.text.focus();
    this.text.setSelectionRange(start, start);
  }
}
