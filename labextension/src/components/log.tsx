/** A build while it goes on: phases, progress, log, cancel. */
import type { TranslationBundle } from '@jupyterlab/translation';
import { stopIcon } from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';
import * as React from 'react';
import { LogModel } from '../log';
import { type Build, COMMANDS, type IApi, isActive, type Phase } from '../tokens';
import { sayPhase, saySeconds } from '../words';
import { Button, Notice, StatusBadge, useSignal } from './common';

export interface ILiveBuildProps {
  readonly api: IApi;
  readonly buildId: number;
  readonly build: Build | null;
  readonly commands: CommandRegistry;
  readonly mayCancel: boolean;
  /** What is known of the build is old. */
  readonly onTurn: () => void;
  readonly trans: TranslationBundle;
}

export function LiveBuild(props: ILiveBuildProps): JSX.Element | null {
  const { api, buildId } = props;
  const [log, setLog] = React.useState<LogModel | null>(null);
  React.useEffect(() => {
    const made = new LogModel(api, buildId);
    setLog(made);
    void made.follow();
    return () => made.dispose();
  }, [api, buildId]);
  return log && log.buildId === buildId ? <Live {...props} log={log} /> : null;
}

function Live(props: ILiveBuildProps & { readonly log: LogModel }): JSX.Element {
  const { build, buildId, commands, log, mayCancel, onTurn, trans } = props;
  useSignal(log.changed);
  React.useEffect(() => {
    log.turned.connect(onTurn);
    return () => void log.turned.disconnect(onTurn);
  }, [log, onTurn]);
  const status = log.status ?? build?.status ?? null;
  return (
    <section className="csh-Live" aria-label={trans.__('Build %1', buildId)}>
      <div className="csh-Live-header">
        <h3>{trans.__('Build %1', buildId)}</h3>
        <span role="status">
          {status && <StatusBadge status={status} position={build?.position ?? null} trans={trans} />}
        </span>
        {isActive(status) && mayCancel && (
          <Button
            icon={stopIcon}
            label={trans.__('Cancel')}
            onClick={() => commands.execute(COMMANDS.cancelBuild, { buildId })}
          />
        )}
      </div>
      {build?.status_info && status === 'FAILED' && <Notice kind="bad">{build.status_info}</Notice>}
      <Phases build={build} log={log} trans={trans} />
      {log.problem && <Notice kind="warn">{log.problem.message}</Notice>}
      <Text {...props} />
    </section>
  );
}

function Phases(props: {
  readonly build: Build | null;
  readonly log: LogModel;
  readonly trans: TranslationBundle;
}): JSX.Element | null {
  const { build, log, trans } = props;
  const phases = build?.phases ?? [];
  const { progress } = log;
  if (phases.length === 0 && !progress) {
    return null;
  }
  const isOver = log.isComplete || log.status === 'FAILED' || log.status === 'CANCELED';
  const current = progress && !isOver ? progress : null;
  const isKnown = current !== null && phases.some(one => one.phase === current.phase);
  return (
    <ol className="csh-Phases" aria-label={trans.__('Phases')}>
      {phases.map(one => (
        <li key={one.phase} className={one.seconds != null ? 'csh-mod-done' : isOver ? 'csh-mod-broken' : 'csh-mod-running'}>
          <span>{sayPhase(one.phase, trans)}</span>
          {one.seconds != null && <span className="csh-Dim">{saySeconds(one.seconds)}</span>}
          {current?.phase === one.phase && one.seconds == null && <Bar {...current} trans={trans} />}
        </li>
      ))}
      {current && !isKnown && (
        <li className="csh-mod-running">
          <span>{sayPhase(current.phase as Phase, trans)}</span>
          <Bar {...current} trans={trans} />
        </li>
      )}
    </ol>
  );
}

function Bar(props: {
  readonly phase: string;
  readonly done: number;
  readonly total: number;
  readonly unit: string;
  readonly trans: TranslationBundle;
}): JSX.Element {
  const { done, total, unit, phase, trans } = props;
  return (
    <>
      <progress max={total || 1} value={done} aria-label={trans.__('Progress of %1', sayPhase(phase as Phase, trans))} />
      <span className="csh-Dim">{trans.__('%1 of %2 %3', done, total, unit)}</span>
    </>
  );
}

/** The text, at whose end one stays until one scrolls away from it. */
function Text({ api, buildId, log, trans }: ILiveBuildProps & { readonly log: LogModel }): JSX.Element {
  const node = React.useRef<HTMLPreElement>(null);
  const isAtEnd = React.useRef(true);
  const { text } = log;
  React.useLayoutEffect(() => {
    if (node.current && isAtEnd.current) {
      node.current.scrollTop = node.current.scrollHeight;
    }
  }, [text]);
  return (
    <>
      {log.isCut && (
        <p className="csh-Hint">
          {trans.__('Only the end is shown here.')}{' '}
          <a href={api.logUrl(buildId)} target="_blank" rel="noreferrer">
            {trans.__('The whole log')}
          </a>
        </p>
      )}
      <pre
        ref={node}
        className="csh-Log"
        role="log"
        aria-live="off"
        aria-label={trans.__('Log of build %1', buildId)}
        tabIndex={0}
        onScroll={event => {
          const { clientHeight, scrollHeight, scrollTop } = event.currentTarget;
          isAtEnd.current = scrollHeight - scrollTop - clientHeight < 24;
        }}
      >
        {text || trans.__('Nothing has been written yet.')}
      </pre>
    </>
  );
}
