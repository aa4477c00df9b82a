/** An `environment.yaml` as lists, with where each entry stands in its text. */
import { isMap, isScalar, isSeq, LineCounter, type Pair, parseDocument, type Scalar, type YAMLMap, type YAMLSeq } from 'yaml';

/** The lists that the composer shows. */
export type ListName = 'channels' | 'dependencies' | 'pip';

/** One entry of a list: its text as read, and where it stands in the document. */
export interface IEntry {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** Why a text cannot be shown as lists; line and column count from 1. */
export interface IFault {
  readonly message: string;
  readonly line: number;
  readonly column: number;
}

/** What of a document the composer shows. */
export interface IOutline extends Readonly<Record<ListName, readonly IEntry[]>> {
  readonly name: string | null;
}

/** A document that has been read, or why it cannot be. */
export type Reading =
  | { readonly outline: IOutline; readonly fault: null }
  | { readonly outline: null; readonly fault: IFault };

export type Sequence = YAMLSeq<unknown>;

export interface IParsed {
  readonly text: string;
  readonly root: YAMLMap | null;
  readonly name: Pair | undefined;
  readonly lists: Readonly<Record<ListName, IList>>;
}

/** A list in the document: the pair that holds it, if that is there, and its entries. */
export interface IList {
  readonly pair: Pair | undefined;
  readonly sequence: Sequence | null;
  readonly entries: readonly IEntry[];
  /** The items of the sequence that the entries are: `pip:` among the dependencies is not one. */
  readonly items: readonly number[];
}

class Fault extends Error {
  constructor(
    message: string,
    readonly offset: number
  ) {
    super(message);
  }
}

/** Whether a text is a lock file, which is submitted as it is: conda-lock's, or a list of addresses. */
export function isLockfile(text: string): boolean {
  return /^@EXPLICIT[ \t]*\r?$/m.test(text) || (/^(version|metadata):/m.test(text) && /^package:/m.test(text));
}

export function read(text: string): Reading {
  const lines = new LineCounter();
  try {
    const { name, lists } = parse(text, lines);
    const { channels, dependencies, pip } = lists;
    const outline = {
      name: isScalar(name?.value) && name.value.value !== null ? sourceOf(name.value) : null,
      channels: channels.entries,
      dependencies: dependencies.entries,
      pip: pip.entries
    };
    return { outline, fault: null };
  } catch (error) {
    if (!(error instanceof Fault)) {
      throw error;
    }
    const { line, col } = lines.linePos(error.offset);
    return { outline: null, fault: { message: error.message, line: Math.max(line, 1), column: Math.max(col, 1) } };
  }
}

/** The name of the package that a dependency of conda's or a line of pip's is about, in lower case. */
export function nameOf(dependency: string): string {
  const found = /^\s*(?:[^\s[\]]*::)?([A-Za-z0-9_][A-Za-z0-9_.-]*)/.exec(dependency);
  return (found?.[1] ?? dependency.trim()).toLowerCase();
}

export function parse(text: string, counter: LineCounter = new LineCounter()): IParsed {
  const document = parseDocument(text, {
    keepSourceTokens: true,
    lineCounter: counter,
    logLevel: 'silent',
    prettyErrors: false,
    version: '1.1'
  });
  const [error] = document.errors;
  if (error) {
    throw new Fault(error.message.split('\n')[0]!, error.pos[0]);
  }
  const root = document.contents;
  if (root !== null && !isMap(root) && !(isScalar(root) && root.value === null)) {
    throw new Fault('This is not an environment.yaml: it has keys such as “dependencies:”.', root.range?.[0] ?? 0);
  }
  const map = isMap(root) ? (root as YAMLMap) : null;
  const find = (key: string) => map?.items.find(pair => isScalar(pair.key) && pair.key.value === key) as Pair | undefined;
  const dependencies = readList(find('dependencies'), 'dependencies');
  const holder = dependencies.sequence?.items.find(isMap)?.items[0] as Pair | undefined;
  const pip = readList(holder, 'pip');
  return { text, root: map, name: find('name'), lists: { channels: readList(find('channels'), 'channels'), dependencies, pip } };
}

function readList(pair: Pair | undefined, name: ListName): IList {
  const value = pair?.value ?? null;
  if (value === null || (isScalar(value) && value.value === null)) {
    return { pair, sequence: null, entries: [], items: [] };
  }
  if (!isSeq(value)) {
    throw new Fault(`“${name}:” has to be a list.`, (value as Scalar).range?.[0] ?? 0);
  }
  const items = value.items.map((_, index) => index).filter(index => isScalar(value.items[index]));
  const other = value.items.find(item => !isScalar(item) && !isPip(item, name));
  if (other !== undefined) {
    throw new Fault(`Among “${name}:” there is something that is not a single value.`, startOf(other));
  }
  const entries = items.map(index => {
    const item = value.items[index] as Scalar;
    const [start, end] = bounds(item);
    return { text: sourceOf(item), start, end };
  });
  return { pair, sequence: value as Sequence, entries, items };
}

function isPip(item: unknown, list: ListName): boolean {
  const key = list === 'dependencies' && isMap(item) && item.items.length === 1 ? item.items[0]!.key : null;
  return isScalar(key) && key.value === 'pip';
}

/** A value as it was typed: 3.10 is not 3.1. */
function sourceOf(scalar: Scalar): string {
  return (scalar.source ?? String(scalar.value ?? '')).trim();
}

export function startOf(node: unknown): number {
  return (node as { range?: [number, number, number] | null }).range?.[0] ?? 0;
}

/** Where a value begins and where what is written of it ends. */
export function bounds(node: unknown): [number, number] {
  const { range } = node as { range: [number, number, number] };
  return [range[0], range[1]];
}

export function isFlow(sequence: Sequence): boolean {
  return sequence.srcToken?.type === 'flow-collection';
}
