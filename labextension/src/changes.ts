/** What a dry run would change in an environment, as rows to read. */
import { nameOf } from './reading';
import type { PackageVersion, SolvedPackage, SolvedSpecification } from './tokens';

export interface IChange {
  readonly kind: 'added' | 'removed' | 'changed';
  readonly name: string;
  readonly before: PackageVersion | null;
  readonly after: SolvedPackage | null;
}

export interface IChanges {
  readonly rows: readonly IChange[];
  readonly counts: Readonly<Record<IChange['kind'], number>>;
  readonly unchanged: number;
  /** Bytes of the packages that are new or other, as they are downloaded where they are not known yet. */
  readonly download: number;
}

/** What changes: asked for first, then by name; without an active build, everything is new. */
export function listChanges(solved: SolvedSpecification, asked: readonly string[]): IChanges {
  const after = new Map(solved.packages.map(one => [one.name, one]));
  const { diff } = solved;
  const rows: IChange[] = diff
    ? [
        ...diff.added.map(one => row('added', null, after.get(one.name) ?? null, one.name)),
        ...diff.changed.map(one => row('changed', one.old, after.get(one.new.name) ?? null, one.new.name)),
        ...diff.removed.map(one => row('removed', one, null, one.name))
      ]
    : solved.packages.map(one => row('added', null, one, one.name));
  const names = new Set(asked.map(nameOf));
  const order = (one: IChange) => (names.has(one.name) ? 0 : 1);
  rows.sort((one, other) => order(one) - order(other) || (one.name < other.name ? -1 : 1));
  const count = (kind: IChange['kind']) => rows.filter(one => one.kind === kind).length;
  return {
    rows,
    counts: { added: count('added'), changed: count('changed'), removed: count('removed') },
    unchanged: diff?.unchanged ?? 0,
    download: rows.reduce((sum, one) => sum + (one.after?.size ?? 0), 0)
  };
}

function row(
  kind: IChange['kind'],
  before: PackageVersion | null,
  after: SolvedPackage | null,
  name: string
): IChange {
  return { kind, name, before, after };
}
