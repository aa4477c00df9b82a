/** The builds of an environment, and what may be done with each. */
import * as React from 'react';
import { type BuildSummary, COMMANDS } from '../tokens';
import { saySize } from '../words';
import { Badge, Button, StatusBadge, When } from './common';
import type { IShownProps } from './pageprops';

export function Builds(props: IShownProps): JSX.Element {
  const { trans, view } = props;
  return (
    <>
      <table className="csh-Table">
        <thead>
          <tr>
            <th scope="col">{trans.__('Build')}</th>
            <th scope="col">{trans.__('State')}</th>
            <th scope="col">{trans.__('Asked for')}</th>
            <th scope="col">{trans.__('By')}</th>
            <th scope="col">{trans.__('Size')}</th>
            <th scope="col">{trans.__('Actions')}</th>
          </tr>
        </thead>
        <tbody>
          {view.builds.map((build, index) => (
            <BuildRow key={build.id} {...props} build={build} before={view.builds[index + 1] ?? null} />
          ))}
        </tbody>
      </table>
      {view.builds.length < view.count && (
        <Button label={trans.__('Show older ones (%1 in all)', view.count)} onClick={() => view.more()} />
      )}
    </>
  );
}

function BuildRow(
  props: IShownProps & { readonly build: BuildSummary; readonly before: BuildSummary | null }
): JSX.Element {
  const { before, build, commands, environment, trans, view } = props;
  const offers = view.offers(build);
  const args = { ...view.target, buildId: build.id };
  const isKept = build.status === 'COMPLETED' && !build.deleted_on;
  // With the active build, if that is another one: that is what a rollback changes.
  const active = environment.current_build_id;
  const other = active !== null && active !== build.id ? active : (before?.id ?? null);
  const words: Record<string, string> = {
    [COMMANDS.activateBuild]: trans.__('Activate'),
    [COMMANDS.togglePin]: build.pinned ? trans.__('Unpin') : trans.__('Pin'),
    [COMMANDS.cancelBuild]: trans.__('Cancel'),
    [COMMANDS.deleteBuild]: trans.__('Delete')
  };
  return (
    <tr className="csh-Build" data-csh-build={build.id} data-csh-offers={offers.join(' ')}>
      <th scope="row">
        <button type="button" className="csh-Link" onClick={() => view.openBuild(build.id)}>
          {trans.__('Build %1', build.id)}
        </button>
      </th>
      <td className="csh-Badges">
        <StatusBadge status={build.status} position={build.position ?? null} trans={trans} />
        {build.active && <Badge kind="ok">{trans.__('active')}</Badge>}
        {build.pinned && (
          <Badge kind="plain" title={trans.__('It is protected from being deleted.')}>
            {trans.__('pinned')}
          </Badge>
        )}
        {build.deleted_on && <Badge kind="plain">{trans.__('deleted')}</Badge>}
      </td>
      <td>
        <When time={build.scheduled_on} />
      </td>
      <td>{build.requested_by ?? ''}</td>
      <td>{build.size && !build.deleted_on ? saySize(build.size) : ''}</td>
      <td className="csh-Buttons">
        {other !== null && build.status === 'COMPLETED' && (
          <Button
            label={trans.__('Compare')}
            title={trans.__('What changed from build %1 to build %2', other, build.id)}
            onClick={() => view.openDiff(build.id, other)}
          />
        )}
        {isKept && commands.hasCommand(COMMANDS.keepInBuild) && commands.isEnabled(COMMANDS.keepInBuild, args) && (
          <Button
            label={trans.__('Keep notebook here')}
            title={trans.__('The notebook that you work in runs in build %1 from then on', build.id)}
            onClick={() => commands.execute(COMMANDS.keepInBuild, args)}
          />
        )}
        {offers.map(id => (
          <Button
            key={id}
            label={words[id]!}
            onClick={async () => {
              await commands.execute(id, args);
              await view.refresh();
            }}
          />
        ))}
      </td>
    </tr>
  );
}
