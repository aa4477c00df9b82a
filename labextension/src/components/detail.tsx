/** What was opened of a build: its log and phases, or what changed in it. */
import { closeIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import { isActive } from '../tokens';
import { IconButton, Section } from './common';
import { Diff } from './diff';
import { LiveBuild } from './log';
import type { IShownProps } from './pageprops';

export function DetailView(props: IShownProps): JSX.Element | null {
  const { commands, trans, view } = props;
  const { detail } = view;
  const node = React.useRef<HTMLDivElement>(null);
  const shown = detail && `${detail.kind} ${detail.buildId}`;
  React.useEffect(() => node.current?.scrollIntoView({ block: 'nearest' }), [shown]);
  const onTurn = React.useCallback(() => void view.refresh(), [view]);
  const close = (
    <IconButton icon={closeIcon} label={trans.__('Close')} onClick={() => view.closeDetail()} />
  );
  if (!detail) {
    return null;
  }
  if (detail.kind === 'diff') {
    const title = trans.__('What changed from build %1 to build %2', detail.other, detail.buildId);
    return (
      <div className="csh-Detail" ref={node}>
        {close}
        <Section title={title}>{detail.diff && <Diff diff={detail.diff} trans={trans} />}</Section>
      </div>
    );
  }
  const { namespace, name } = view.target;
  const offered = detail.build && isActive(detail.build.status) && view.model.may('build::cancel', namespace, name);
  return (
    <div className="csh-Detail" ref={node}>
      {close}
      <LiveBuild
        api={view.model.api}
        buildId={detail.buildId}
        build={detail.build}
        commands={commands}
        mayCancel={Boolean(offered)}
        onTurn={onTurn}
        trans={trans}
      />
    </div>
  );
}
