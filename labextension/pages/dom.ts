/** Elements of a page, made in one call. */

type Child = Node | string;
type Values = Readonly<Record<string, string | boolean | ((event: never) => void)>>;

/** An element with attributes, with what happens to it (`onclick`), and with what is in it. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  values: Values = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(values)) {
    if (typeof value === 'function') {
      element.addEventListener(name.slice(2), value as unknown as EventListener);
    } else if (typeof value === 'boolean') {
      element.toggleAttribute(name, value);
    } else {
      element.setAttribute(name, value);
    }
  }
  element.append(...children);
  return element;
}

/** A button that shows a sign and is read out as words. */
export function makeButton(sign: string, onClick: () => void): HTMLButtonElement {
  const shown = make('span', { 'aria-hidden': 'true' }, sign);
  return make('button', { type: 'button', class: 'btn btn-sm btn-outline-contrast', onclick: onClick }, shown);
}

export function label(element: HTMLElement, words: string): void {
  element.setAttribute('aria-label', words);
  element.title = words;
}

let count = 0;

/** A name that no other element has. */
export function makeId(): string {
  count += 1;
  return `composer-${count}`;
}
