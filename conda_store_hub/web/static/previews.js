// A preview goes on whether its page is looked at or not: it is followed, and asked for again by who comes back.
import { currentToken } from "./xsrf.js";

const SPACE = "conda-store-hub-previewed:";
const LONGEST = 3600 * 1000; // an hour
const PAUSE = 2000;
const AWAY = "The service does not answer. This goes on as soon as it does.";

const makeHeaders = () => ({ "X-XSRFToken": currentToken() });

// Of 64 bits: enough to tell one's own documents apart. What browsers have for this is not there without TLS.
function digest(text) {
  let [one, other] = [0x811c9dc5, 0x41c6ce57];
  for (let at = 0; at < text.length; at += 1) {
    one = Math.imul(one ^ text.charCodeAt(at), 0x01000193);
    other = Math.imul(other ^ text.charCodeAt(at), 0x5f356495);
  }
  return `${one >>> 0}-${other >>> 0}`;
}

// Of which documents this person has asked for a preview not long ago, on any page: kept in this browser as digests.
export class Previewed {
  constructor(user) {
    this.key = user && `${SPACE}${location.pathname}:${user}`;
    this.change(() => {
      const isOfOthers = (key) => key.startsWith(`${SPACE}${location.pathname}:`) && key !== this.key;
      Object.keys(localStorage).filter(isOfOthers).forEach((key) => localStorage.removeItem(key));
    });
  }

  read() {
    try {
      const found = Object.entries(JSON.parse(localStorage.getItem(this.key)) ?? {});
      return Object.fromEntries(found.filter(([, at]) => Date.now() - at < LONGEST));
    } catch {
      return {}; // what another version has kept may be anything
    }
  }

  change(act) {
    try {
      if (this.key) {
        act();
      }
    } catch {
      // This browser lets nothing be kept: who comes back asks for a preview themselves.
    }
  }

  has(typed) {
    return Boolean(this.key) && digest(typed) in this.read();
  }

  add(typed) {
    this.change(() => localStorage.setItem(this.key, JSON.stringify({ ...this.read(), [digest(typed)]: Date.now() })));
  }

  remove(typed) {
    const { [digest(typed)]: _, ...others } = this.read();
    this.change(() => localStorage.setItem(this.key, JSON.stringify(others)));
  }
}

// `post` sends the form to have it `follow`ed from now on, or to `resume` what was; `tell` is told how it stands.
export class Following {
  constructor(address, post, signal, tell) {
    this.address = address;
    this.post = post;
    this.signal = signal;
    this.tell = tell;
    this.key = "";
  }

  // The answer with the page. What is gone meanwhile is begun anew by that: a service that starts again holds nothing.
  async run(action) {
    let answer = await this.ask(action);
    while (answer.status === 202) {
      await this.wait();
      answer = await this.ask("resume");
    }
    return answer;
  }

  ask(action) {
    this.asked = this.post(action).then(async (answer) => {
      if (answer.status === 202) {
        this.note(await answer.json());
      }
      return answer;
    });
    return this.asked;
  }

  async wait() {
    for (;;) {
      const answer = await this.look();
      if (answer === null || answer.status >= 500) {
        this.tell(AWAY);
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      } else if (!answer.ok || this.note(await answer.json())) {
        return;
      }
      this.signal.throwIfAborted();
    }
  }

  async look() {
    try {
      return await fetch(this.place(), { headers: makeHeaders(), redirect: "manual", signal: this.signal });
    } catch {
      this.signal.throwIfAborted();
      return null;
    }
  }

  note(state) {
    this.key = state.key;
    if (!state.has_ended && !this.signal.aborted) {
      this.tell(state.says, state.seconds);
    }
    return state.has_ended;
  }

  // Nobody wants it any more. What it is known by is in the first answer, which may be on its way.
  async end() {
    await this.asked?.catch(() => null);
    if (this.key) {
      await fetch(this.place(), { method: "DELETE", headers: makeHeaders(), keepalive: true }).catch(() => null);
    }
  }

  place() {
    return new URL(`preview/${this.key}/`, this.address);
  }
}
