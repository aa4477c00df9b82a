/** What a build would change: asked of the service before anything is built. */
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import type { ApiError } from '../api';
import { type IChange, type IChanges, listChanges } from '../changes';
import type { Editing } from '../editing';
import type { SolvedSpecification } from '../tokens';
import { saySeconds, saySize } from '../words';
import { Button, Notice, useSignal } from './common';

interface IPreviewProps {
  readonly editing: Editing;
  readonly trans: TranslationBundle;
}

export function PreviewView({ editing, trans }: IPreviewProps): JSX.Element | null {
  useSignal(editing.changed);
  const { preview } = editing;
  switch (preview.state) {
    case 'none':
      return null;
    case 'solving':
      return (
        <div className="csh-Preview" role="status">
          <p className="csh-Preview-solving">
            {trans.__('The service is choosing packages…')} <Button label={trans.__('Cancel')} onClick={() => editing.cancel()} />
          </p>
        </div>
      );
    case 'failed':
      return <Failed error={preview.error} trans={trans} />;
    case 'solved':
      return <Solved editing={editing} solved={preview.solved} trans={trans} />;
  }
}

/** What stands at its line is not said again; what the solver says is. */
function Failed({ error, trans }: { readonly error: ApiError; readonly trans: TranslationBundle }): JSX.Element | null {
  if (error.line !== null && !error.detail) {
    return null;
  }
  return (
    <div className="csh-Preview">
      <Notice kind="bad">
        {error.line === null && <pre className="csh-Words">{error.message}</pre>}
        {error.detail && (
          <>
            <p>{trans.__('No packages fit together. The solver says:')}</p>
            <pre className="csh-Words">{error.detail}</pre>
          </>
        )}
        {error.isOutage && <p>{trans.__('What you have typed is kept.')}</p>}
      </Notice>
    </div>
  );
}

function Solved({ editing, solved, trans }: IPreviewProps & { readonly solved: SolvedSpecification }): JSX.Element {
  const asked = editing.reading.outline?.dependencies.map(one => one.text) ?? [];
  const changes = React.useMemo(() => listChanges(solved, asked), [solved, asked.join('\n')]);
  const title = solved.active_build_id
    ? trans.__('What changes from build %1, the active one', solved.active_build_id)
    : trans.__('What would be installed');
  const hasPip = (editing.reading.outline?.pip.length ?? 0) > 0;
  return (
    <section className="csh-Preview" aria-label={title}>
      <h3>{title}</h3>
      {editing.isPreviewStale && (
        <Notice kind="warn">{trans.__('The specification was changed since: this is what it would have been before.')}</Notice>
      )}
      <p role="status">{summarise(changes, solved, trans)}</p>
      {hasPip && <p className="csh-Dim">{trans.__('What pip brings is chosen while it is built.')}</p>}
      {changes.rows.length > 0 && <Table changes={changes} trans={trans} />}
    </section>
  );
}

function Table({ changes, trans }: { readonly changes: IChanges; readonly trans: TranslationBundle }): JSX.Element {
  const kinds = { added: trans.__('added'), removed: trans.__('removed'), changed: trans.__('changed') };
  return (
    <table className="csh-Table csh-Changes">
      <thead>
        <tr>
          <th scope="col">{trans.__('Package')}</th>
          <th scope="col">{trans.__('Change')}</th>
          <th scope="col">{trans.__('Version')}</th>
          <th scope="col">{trans.__('Size')}</th>
          <th scope="col">{trans.__('Why')}</th>
        </tr>
      </thead>
      <tbody>
        {changes.rows.map(row => (
          <tr key={row.name} className={`csh-mod-${row.kind}`}>
            <th scope="row">{row.name}</th>
            <td>{kinds[row.kind]}</td>
            <td>{sayVersions(row, trans)}</td>
            <td>{row.after?.size ? saySize(row.after.size) : ''}</td>
            <td>{sayWhy(row, trans)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function summarise(changes: IChanges, solved: SolvedSpecification, trans: TranslationBundle): string {
  const { added, changed, removed } = changes.counts;
  const packages = solved.active_build_id
    ? trans.__('%1 added, %2 changed, %3 removed, %4 as they are.', added, changed, removed, changes.unchanged)
    : trans._n('%1 package.', '%1 packages.', added);
  const size = changes.download ? trans.__('%1 to download at most.', saySize(changes.download)) : '';
  const how = solved.reused ? trans.__('As chosen before.') : trans.__('Chosen in %1.', saySeconds(solved.seconds));
  const nothing = solved.active_build_id && changes.rows.length === 0;
  return [nothing ? trans.__('Nothing changes.') : packages, size, how].filter(Boolean).join(' ');
}

function sayVersions({ before, after }: IChange, trans: TranslationBundle): string {
  if (!before || !after) {
    return (before ?? after)?.version ?? '';
  }
  return before.version === after.version
    ? trans.__('%1, another build (%2)', after.version, after.build ?? '')
    : `${before.version} → ${after.version}`;
}

function sayWhy({ kind, after }: IChange, trans: TranslationBundle): string {
  if (kind === 'removed' || !after) {
    return trans.__('nobody asks for it any more, and nothing needs it');
  }
  const names = after.needed_by ?? [];
  const shown = names.slice(0, 3).join(', ');
  const rest = (after.needed_by_count ?? 0) - Math.min(3, names.length);
  const needed = rest > 0 ? trans.__('needed by %1 and %2 more', shown, rest) : shown && trans.__('needed by %1', shown);
  switch (after.reason) {
    case 'asked':
      return needed ? trans.__('asked for, and %1', needed) : trans.__('asked for');
    case 'policy':
      return trans.__('a policy adds it');
    default:
      return needed || trans.__('needed');
  }
}
