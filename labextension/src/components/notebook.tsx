/** What a notebook tells of its environment: a button in its toolbar, and the packages behind it. */
import type { ISessionContext } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget, refreshIcon } from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';
import * as React from 'react';
import { environmentsIcon } from '../icons';
import type { IRunning, RunningBuilds } from '../running';
import { COMMANDS, type IApi, type IEnvironments } from '../tokens';
import { Badge, Button, useSignal } from './common';
import { Packages } from './packages';

export interface INotebookButtonProps {
  readonly context: ISessionContext;
  readonly model: IEnvironments;
  readonly running: RunningBuilds;
  readonly commands: CommandRegistry;
  readonly trans: TranslationBundle;
}

/** The environment and build that a session's kernel runs in; null where it is of none. */
export function findRunning(context: ISessionContext, running: RunningBuilds): IRunning | null {
  const kernel = context.session?.kernel;
  return kernel ? running.find(kernel) : null;
}

/** The environment of the notebook that this toolbar is of; nothing where its kernel is of none. */
export function createNotebookButton(props: INotebookButtonProps): ReactWidget {
  const widget = ReactWidget.create(<NotebookButton {...props} />);
  widget.addClass('csh-NotebookButton');
  return widget;
}

function NotebookButton(props: INotebookButtonProps): JSX.Element | null {
  const { commands, context, model, running, trans } = props;
  useSignal(model.changed);
  useSignal(running.changed);
  useSignal(context.kernelChanged);
  const found = findRunning(context, running);
  if (!found) {
    return null;
  }
  const args = { path: context.path };
  const name = `${found.namespace}/${found.name}`;
  return (
    <span className="csh-Buttons">
      <Button
        icon={environmentsIcon}
        label={found.pinned ? trans.__('%1 · kept in build %2', name, found.buildId) : trans.__('%1 · build %2', name, found.buildId)}
        title={trans.__('The environment that this notebook runs in, and its packages')}
        onClick={() => commands.execute(COMMANDS.notebookEnvironment, args)}
      />
      {found.next !== null && (
        <Button
          accept
          icon={refreshIcon}
          label={trans.__('Restart into build %1', found.next)}
          onClick={() => commands.execute(COMMANDS.restartIntoBuild, args)}
        />
      )}
      {found.pinned && (
        <Button
          label={trans.__('Follow the active build')}
          onClick={() => commands.execute(COMMANDS.followActive, args)}
        />
      )}
    </span>
  );
}

export interface IRunningViewProps {
  readonly api: IApi;
  readonly found: IRunning;
  readonly trans: TranslationBundle;
}

/** What runs, and the packages of it. */
export function RunningView({ api, found, trans }: IRunningViewProps): JSX.Element {
  return (
    <div className="csh-Running">
      <p>
        {trans.__('%1, build %2', `${found.namespace}/${found.name}`, found.buildId)}{' '}
        {found.pinned ? (
          <Badge kind="plain">{trans.__('kept in it')}</Badge>
        ) : found.next === null ? (
          <Badge kind="ok">{trans.__('active')}</Badge>
        ) : (
          <Badge kind="warn">{trans.__('build %1 is active', found.next)}</Badge>
        )}
      </p>
      <Packages api={api} buildId={found.buildId} trans={trans} />
    </div>
  );
}
