/** What two builds have differently. */
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import type { PackageDiff, PackageVersion } from '../tokens';

export function Diff({ diff, trans }: { readonly diff: PackageDiff; readonly trans: TranslationBundle }): JSX.Element {
  const count = diff.added.length + diff.removed.length + diff.changed.length;
  if (count === 0) {
    return <p className="csh-Hint">{trans.__('Nothing: they have the same packages.')}</p>;
  }
  return (
    <>
      <table className="csh-Table csh-Diff">
        <thead>
          <tr>
            <th scope="col">{trans.__('Package')}</th>
            <th scope="col">{trans.__('Before')}</th>
            <th scope="col">{trans.__('After')}</th>
          </tr>
        </thead>
        <tbody>
          {diff.changed.map(one => (
            <DiffRow key={`c ${key(one.new)}`} kind="changed" before={one.old} after={one.new} />
          ))}
          {diff.added.map(one => (
            <DiffRow key={`a ${key(one)}`} kind="added" before={null} after={one} />
          ))}
          {diff.removed.map(one => (
            <DiffRow key={`r ${key(one)}`} kind="removed" before={one} after={null} />
          ))}
        </tbody>
      </table>
      <p className="csh-Hint">
        {trans._n('%1 package is the same in both.', '%1 packages are the same in both.', diff.unchanged)}
      </p>
    </>
  );
}

function DiffRow(props: {
  readonly kind: string;
  readonly before: PackageVersion | null;
  readonly after: PackageVersion | null;
}): JSX.Element {
  const { after, before, kind } = props;
  const one = (after ?? before)!;
  // Another build of the same version is a change, too.
  const isSame = after !== null && before !== null && after.version === before.version;
  const say = (side: PackageVersion | null) => (side ? (isSame ? `${side.version} ${side.build}` : side.version) : '–');
  return (
    <tr className={`csh-mod-${kind}`}>
      <th scope="row">
        {one.name} {one.manager === 'pip' && <span className="csh-Dim">pip</span>}
      </th>
      <td>{say(before)}</td>
      <td>{say(after)}</td>
    </tr>
  );
}

function key(one: PackageVersion): string {
  return `${one.manager} ${one.name}`;
}
