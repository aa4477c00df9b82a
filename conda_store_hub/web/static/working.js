// What is being waited for, in the place of the help that stands there else: nothing on the page moves by it.
const SECOND = 1000;
const MINUTE = 60;

function showSeconds(seconds) {
  const [minutes, rest] = [Math.floor(seconds / MINUTE), Math.floor(seconds % MINUTE)];
  return minutes ? `${minutes} min ${String(rest).padStart(2, "0")} s` : `${rest} s`;
}

export class Working {
  constructor(form) {
    this.form = form;
    const find = (id) => document.getElementById(id);
    [this.text, this.time, this.cancel, this.over] = ["working-text", "working-time", "cancel", "preview-over"].map(find);
  }

  begin(said, canCancel) {
    this.form.setAttribute("aria-busy", "true");
    this.over.textContent = "";
    this.cancel.hidden = !canCancel;
    this.tell(said);
  }

  // The time is not told by screen readers each second: it is no part of what is live.
  tell(said, seconds) {
    if (this.text.textContent !== said) {
      this.text.textContent = said;
    }
    clearInterval(this.timer);
    if (seconds !== undefined) {
      const began = Date.now() - SECOND * seconds;
      const show = () => (this.time.textContent = showSeconds((Date.now() - began) / SECOND));
      this.timer = setInterval(show, SECOND);
      show();
    }
  }

  end() {
    clearInterval(this.timer);
    this.form.setAttribute("aria-busy", "false");
    this.cancel.hidden = true;
    this.text.textContent = this.time.textContent = "";
  }
}
