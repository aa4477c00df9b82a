/** Pieces and lines of a text. */

/** What of one text has to be replaced to become the other: the shortest piece. */
export function difference(before: string, after: string): { start: number; end: number; text: string } {
  const most = Math.min(before.length, after.length);
  let start = 0;
  while (start < most && before[start] === after[start]) {
    start += 1;
  }
  let tail = 0;
  while (tail < most - start && before[before.length - 1 - tail] === after[after.length - 1 - tail]) {
    tail += 1;
  }
  return { start, end: before.length - tail, text: after.slice(start, after.length - tail) };
}

export function insertLines(text: string, at: number, added: readonly string[]): string {
  const end = lineBreak(text);
  const isBetween = at === 0 || text[at - 1] === '\n';
  const before = isBetween ? '' : end;
  const isLineEnd = !isBetween && at < text.length;
  return splice(text, at, at, before + added.join(end) + (isLineEnd ? '' : end));
}

export function lineBreak(text: string): string {
  return text.includes('\r\n') ? '\r\n' : '\n';
}

export function lineStart(text: string, at: number): number {
  return at <= 0 ? 0 : text.lastIndexOf('\n', at - 1) + 1;
}

/** Where the line ends that something stands in, before its break. */
export function lineEnd(text: string, at: number): number {
  const found = text.indexOf('\n', at);
  const end = found < 0 ? text.length : found;
  return end > 0 && text[end - 1] === '\r' ? end - 1 : end;
}

export function columnOf(text: string, at: number): number {
  return at - lineStart(text, at);
}

export function isComment(text: string, start: number): boolean {
  return /^[ \t]*#/.test(text.slice(start, lineEnd(text, start)));
}

/** What the first text has and the second has not. */
export function removedBy(before: string, after: string): string {
  const { start, end } = difference(before, after);
  return before.slice(start, end);
}

export function cut(text: string, start: number, end: number): string {
  return splice(text, start, end, '');
}

export function splice(text: string, start: number, end: number, value: string): string {
  return text.slice(0, start) + value + text.slice(end);
}
