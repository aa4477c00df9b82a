// What the service answers to the form: it is shown beside what was typed, and never in its place.
export class Answers {
  constructor(text, lines) {
    this.text = text;
    this.lines = lines;
    [this.problem, this.preview] = ["problem", "preview"].map((id) => document.getElementById(id));
  }

  // Why there is no preview stands where it would be: nothing moves that somebody is reading meanwhile.
  show(fresh, isPreview) {
    const [problem, shown] = ["problem", "preview"].map((id) => [...fresh.getElementById(id).childNodes]);
    this.problem.replaceChildren(...(isPreview ? [] : problem));
    this.preview.replaceChildren(...(isPreview ? problem : []), ...shown);
  }

  // Who does something else by now, or has just come back, goes on with that: false. `isOther`: it is of another form.
  showPreview({ isBack, focused }, isOther) {
    document.querySelector("[data-stale]").hidden = !isOther;
    const isAwaited = !isOther && !isBack && [focused, document.body].includes(document.activeElement);
    if (isAwaited) {
      document.getElementById("preview-title").focus();
    }
    return isAwaited;
  }

  complain(said, isPreview = false) {
    document.getElementById("error")?.remove();
    const alert = document.createElement("div");
    alert.className = "alert alert-danger pre-line";
    alert.setAttribute("role", "alert");
    alert.id = "error";
    alert.textContent = said;
    (isPreview ? this.preview : this.problem).replaceChildren(alert);
    alert.scrollIntoView({ block: "nearest" });
  }

  // What the service said is shown at its line, unless the text is another by now.
  showProblem(sent, isBack = false) {
    const error = document.getElementById("error");
    if (!error) {
      return;
    }
    const { line, column } = error.dataset;
    const place = { line: Number(line), column: Number(column) };
    const isThere = Boolean(line) && sent.trimEnd() === this.text.value.trimEnd();
    if (isThere) {
      this.lines.show({ ...place, message: error.querySelector("p").textContent.replace(/ \(line [^()]*\)$/, "") });
      this.text.classList.add("is-invalid");
    }
    if (!isBack) {
      error.scrollIntoView({ block: "nearest" });
    }
    if (isThere && !isBack) {
      this.lines.goTo(place);
    }
  }
}
