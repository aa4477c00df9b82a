/**
 * Edits of an `environment.yaml` in its place: what an edit is not about, with comments, order, quotes and line ends,
 * stays as it was typed.
 */
import { isMap, isScalar, isSeq, type Pair, parseDocument, type Scalar } from 'yaml';
import {
  bounds,
  type IOutline,
  type IParsed,
  isFlow,
  type ListName,
  nameOf,
  parse,
  read,
  type Sequence,
  startOf
} from './reading';
import { columnOf, cut, insertLines, isComment, lineBreak, lineEnd, lineStart, removedBy, splice } from './splices';

/** Give the document a name; null where that cannot be done without touching what else is there. */
export function setName(text: string, name: string): string | null {
  return edit(text, document => {
    const pair = document.name;
    if (pair && isScalar(pair.value) && pair.value.value !== null) {
      return replaceScalar(text, pair.value, name, false);
    }
    if (pair) {
      return putBehindColon(text, pair, ` ${write(name, false)}`);
    }
    const at = document.root ? lineStart(text, startOf(document.root)) : text.length;
    return insertLines(text, at, [`name: ${write(name, false)}`]);
  }, outline => ({ ...names(outline), name }));
}

/** Put an entry into a list, behind the others unless told where. */
export function addEntry(text: string, list: ListName, value: string, at?: number): string | null {
  const entry = clean(value);
  return edit(text, document => insert(document, list, entry, at ?? document.lists[list].entries.length), outline =>
    changed(outline, list, entries => entries.splice(at ?? entries.length, 0, entry))
  );
}

export function replaceEntry(text: string, list: ListName, index: number, value: string): string | null {
  const entry = clean(value);
  return edit(text, document => {
    const { sequence, items } = document.lists[list];
    return replaceScalar(text, sequence!.items[items[index]!] as Scalar, entry, isFlow(sequence!));
  }, outline => changed(outline, list, entries => entries.splice(index, 1, entry)));
}

/** Take an entry out, with the comment on its own line. */
export function removeEntry(text: string, list: ListName, index: number): string | null {
  return edit(text, document => {
    const { pair, sequence, items } = document.lists[list];
    if (list === 'pip' && items.length === 1) {
      const all = document.lists.dependencies.sequence!;
      const holder = all.items.findIndex(item => isMap(item) && item.items[0] === pair);
      const without = removeItem(text, all, holder);
      // With what somebody wrote about them, an empty list of pip's stays.
      return /(^|\s)#/.test(removedBy(text, without)) ? removeItem(text, sequence!, items[index]!) : without;
    }
    return removeItem(text, sequence!, items[index]!);
  }, outline => changed(outline, list, entries => entries.splice(index, 1)));
}

/** Move an entry to another place in its list, with the comments that stand above it. */
export function moveEntry(text: string, list: ListName, from: number, to: number): string | null {
  return edit(text, document => {
    const { sequence, items } = document.lists[list];
    const order = items.map((_, index) => index);
    order.splice(to, 0, ...order.splice(from, 1));
    const places = items.map(item => (isFlow(sequence!) ? bounds(sequence!.items[item]) : lines(text, sequence!, item)));
    return reorder(text, places, order);
  }, outline => changed(outline, list, entries => entries.splice(to, 0, ...entries.splice(from, 1))));
}

/** Put a dependency in, or in the place of the one for the same package. */
export function putDependency(text: string, list: 'dependencies' | 'pip', value: string): string | null {
  const { outline } = read(text);
  const index = outline?.[list].findIndex(entry => nameOf(entry.text) === nameOf(value)) ?? -1;
  return index < 0 ? addEntry(text, list, value) : replaceEntry(text, list, index, value);
}

// Editing

type Names = Readonly<Record<ListName, readonly string[]>> & { readonly name: string | null };

/** Edit, and look whether the text now says what it should, and nothing else; null if not. */
function edit(text: string, change: (document: IParsed) => string | null, expect: (outline: IOutline) => Names): string | null {
  const before = read(text);
  if (!before.outline) {
    return null;
  }
  const after = change(parse(text));
  const found = after === null ? null : read(after).outline;
  return found && JSON.stringify(names(found)) === JSON.stringify(expect(before.outline)) ? after : null;
}

function names(outline: IOutline): Names {
  const texts = (list: ListName) => outline[list].map(entry => entry.text);
  return { name: outline.name, channels: texts('channels'), dependencies: texts('dependencies'), pip: texts('pip') };
}

function changed(outline: IOutline, list: ListName, change: (entries: string[]) => void): Names {
  const entries = outline[list].map(entry => entry.text);
  change(entries);
  return { ...names(outline), [list]: entries };
}

function clean(value: string): string {
  return value.split(/\s+/).filter(Boolean).join(' ');
}

function insert(document: IParsed, list: ListName, value: string, at: number): string | null {
  const { text } = document;
  const { pair, sequence, items } = document.lists[list];
  if (sequence) {
    return insertItem(text, sequence, items[at] ?? (items.length ? items[items.length - 1]! + 1 : 0), value);
  }
  const holder = document.lists.dependencies;
  if (pair) {
    const column = list === 'pip' ? columnOf(text, startOf(pair.key)) + 2 : indentOf(document);
    const cleared = pair.value && isScalar(pair.value) ? cut(text, ...bounds(pair.value)) : text;
    const colon = startOf(pair.key);
    return insertLines(cleared, lineEnd(cleared, colon), [`${' '.repeat(column)}- ${write(value, false)}`]);
  }
  if (list !== 'pip') {
    return insertKey(document, list, value);
  }
  if (holder.sequence && isFlow(holder.sequence)) {
    return insertItem(text, holder.sequence, holder.sequence.items.length, { raw: `{pip: [${write(value, true)}]}` });
  }
  if (holder.sequence) {
    const column = columnOf(text, dashOf(holder.sequence, 0));
    return insertItem(text, holder.sequence, holder.sequence.items.length, {
      raw: ['pip:', `${' '.repeat(column + 4)}- ${write(value, false)}`].join(lineBreak(text))
    });
  }
  return insertKey(document, 'dependencies', { raw: ['pip:', `      - ${write(value, false)}`].join(lineBreak(text)) });
}

/** Write a key that is not there: channels before the dependencies, dependencies at the end. */
function insertKey(document: IParsed, key: string, value: Value): string {
  const { text } = document;
  const wanted = [`${key}:`, `${' '.repeat(indentOf(document))}- ${written(value, false)}`];
  const next = key === 'channels' ? document.lists.dependencies.pair : undefined;
  let at = next ? lineStart(text, startOf(next.key)) : text.length;
  while (next && isComment(text, lineStart(text, at - 1))) {
    at = lineStart(text, at - 1);
  }
  return insertLines(text, at, wanted);
}

/** A value to be quoted where that is needed, or what is written already. */
type Value = string | { readonly raw: string };

function insertItem(text: string, sequence: Sequence, at: number, value: Value): string {
  if (!isFlow(sequence)) {
    const neighbour = Math.min(at, sequence.items.length - 1);
    const dash = dashOf(sequence, neighbour);
    const gap = /^-[ \t]+/.exec(text.slice(dash, startOf(sequence.items[neighbour])))?.[0] ?? '- ';
    const line = `${' '.repeat(columnOf(text, dash))}${gap}${written(value, false)}`;
    // Behind the one before, so that comments above the next stay with that.
    const place = at > 0 ? lines(text, sequence, at - 1)[1] : lineStart(text, dash);
    return at > 0 ? splice(text, place, place, lineBreak(text) + line) : insertLines(text, place, [line]);
  }
  const entry = written(value, true);
  if (at < sequence.items.length) {
    const start = startOf(sequence.items[at]);
    return splice(text, start, start, `${entry}, `);
  }
  const last = sequence.items[sequence.items.length - 1];
  const place = last === undefined ? startOf(sequence) + 1 : bounds(last)[1];
  return splice(text, place, place, last === undefined ? entry : `, ${entry}`);
}

function removeItem(text: string, sequence: Sequence, at: number): string {
  const [start, end] = bounds(sequence.items[at]);
  if (!isFlow(sequence)) {
    const [, to] = lines(text, sequence, at);
    const from = lineStart(text, dashOf(sequence, at));
    const next = text.startsWith('\r\n', to) ? to + 2 : to + 1;
    // The last line of a text may have no end of its own.
    return to < text.length ? cut(text, from, next) : cut(text, Math.max(0, text.slice(0, from).trimEnd().length), to);
  }
  if (at + 1 < sequence.items.length) {
    const next = startOf(sequence.items[at + 1]);
    return text.slice(end, next).includes('#') ? cut(text, start, text.indexOf(',', end) + 1) : cut(text, start, next);
  }
  return cut(text, at > 0 ? bounds(sequence.items[at - 1])[1] : start, end);
}

/**
 * The lines of an item, without the end of the last: with the comments right above it, which are about it; those above
 * the first are about the list.
 */
function lines(text: string, sequence: Sequence, at: number): [number, number] {
  let start = lineStart(text, dashOf(sequence, at));
  while (at > 0 && start > 0 && isComment(text, lineStart(text, start - 1))) {
    start = lineStart(text, start - 1);
  }
  return [start, lineEnd(text, lastOf(text, sequence.items[at]))];
}

/** Where the last thing is written of a value, which may be a list itself. */
function lastOf(text: string, node: unknown): number {
  if (isMap(node) || isSeq(node)) {
    const last = node.items[node.items.length - 1];
    const inner = isMap(node) ? ((last as Pair | undefined)?.value ?? (last as Pair | undefined)?.key) : last;
    if (inner !== undefined && (node as Sequence).srcToken?.type !== 'flow-collection') {
      return lastOf(text, inner);
    }
  }
  const [start, end] = bounds(node);
  return start + text.slice(start, end).trimEnd().length;
}

function dashOf(sequence: Sequence, at: number): number {
  const token = sequence.srcToken;
  const start = token?.type === 'block-seq' ? token.items[at]?.start : undefined;
  return start?.find(one => one.type === 'seq-item-ind')?.offset ?? startOf(sequence.items[at]);
}

function reorder(text: string, places: readonly (readonly [number, number])[], order: readonly number[]): string {
  let made = text;
  for (let index = places.length - 1; index >= 0; index -= 1) {
    made = splice(made, ...places[index]!, text.slice(...places[order[index]!]!));
  }
  return made;
}

function putBehindColon(text: string, pair: Pair, value: string): string {
  const colon = text.indexOf(':', bounds(pair.key)[1]) + 1;
  const end = pair.value && isScalar(pair.value) ? bounds(pair.value)[1] : colon;
  return splice(text, colon, Math.max(colon, end), value);
}

function replaceScalar(text: string, scalar: Scalar, value: string, inFlow: boolean): string {
  const [start, end] = bounds(scalar);
  const length = text.slice(start, end).trimEnd().length;
  const block = scalar.type === 'BLOCK_FOLDED' || scalar.type === 'BLOCK_LITERAL';
  return splice(text, start, block ? start + length : end, write(value, inFlow, text[start]));
}

function written(value: Value, inFlow: boolean): string {
  return typeof value === 'string' ? write(value, inFlow) : value.raw;
}

/** A value as YAML: in quotes if it has to be, or was. */
function write(value: string, inFlow: boolean, before = ''): string {
  const quote = before === '"' || before === "'" ? before : '';
  if (!quote && isPlain(value, inFlow)) {
    return value;
  }
  return quote === "'" || (quote === '' && /["\\]/.test(value))
    ? `'${value.replace(/'/g, "''")}'`
    : `"${value.replace(/[\\"]/g, '\\$&')}"`;
}

/** Whether a value means itself without quotes. */
function isPlain(value: string, inFlow: boolean): boolean {
  const { contents, errors } = parseDocument(inFlow ? `[${value}]` : `- ${value}`, { logLevel: 'silent', version: '1.1' });
  const item = isSeq(contents) && contents.items.length === 1 ? contents.items[0] : null;
  return errors.length === 0 && isScalar(item) && item.type === 'PLAIN' && item.source === value;
}

/** How far in lists stand: as those that are there. */
function indentOf(document: IParsed): number {
  const found = [document.lists.channels, document.lists.dependencies].find(one => one.sequence && !isFlow(one.sequence));
  return found ? columnOf(document.text, dashOf(found.sequence!, 0)) : 2;
}
