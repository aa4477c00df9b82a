/** What a notebook tells of its environment: a button in its toolbar, and the packages behind it. */
import type { ISessionContext } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget, refreshIcon } from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';
import * as React from 'react';
import { environmentsIcon } from '../icons';
import type { IRunning, RunningBuilds } from '../running';
import { COMMANDS, type IApi, type IEnvironments, type IPage, type Package } from '../tokens';
import { Badge, Button, Notice, useSignal } from './common';

/** Of packages, at once. */
const PAGE = 100;
const PAUSE = 200;

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

function Packages(props: { readonly api: IApi; readonly buildId: number; readonly trans: TranslationBundle }): JSX.Element {
  const { api, buildId, trans } = props;
  const [search, setSearch] = React.useState('');
  const [found, setFound] = React.useState<IPage<Package> | null>(null);
  const [problem, setProblem] = React.useState<string | null>(null);
  React.useEffect(() => {
    let isLate = false;
    const timer = setTimeout(async () => {
      try {
        const query = { size: PAGE, ...(search.trim() ? { search: search.trim() } : {}) };
        const page = await api.packages(buildId, query);
        if (!isLate) {
          setFound(page);
          setProblem(null);
        }
      } catch (error) {
        if (!isLate) {
          setProblem((error as Error).message);
        }
      }
    }, search ? PAUSE : 0);
    return () => {
      isLate = true;
      clearTimeout(timer);
    };
  }, [api, buildId, search]);
  return (
    <>
      <input
        className="jp-mod-styled"
        type="search"
        aria-label={trans.__('Search its packages')}
        placeholder={trans.__('Search its packages')}
        value={search}
        onChange={event => setSearch(event.target.value)}
      />
      {problem && <Notice kind="bad">{problem}</Notice>}
      <p role="status" className="csh-Dim">
        {found === null ? trans.__('Loading…') : sayCount(found, trans)}
      </p>
      <div className="csh-Running-packages" tabIndex={0} role="region" aria-label={trans.__('Packages')}>
        <table className="csh-Table">
          <thead>
            <tr>
              <th scope="col">{trans.__('Package')}</th>
              <th scope="col">{trans.__('Version')}</th>
              <th scope="col">{trans.__('From')}</th>
            </tr>
          </thead>
          <tbody>
            {found?.items.map(one => (
              <tr key={one.id}>
                <th scope="row">{one.name}</th>
                <td>{one.version}</td>
                <td>{one.manager === 'pip' ? 'pip' : String(one.channel['name'] ?? '')}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function sayCount({ items, count }: IPage<Package>, trans: TranslationBundle): string {
  return items.length < count
    ? trans.__('The first %1 of %2: type to search the others.', items.length, count)
    : trans._n('%1 package', '%1 packages', count);
}
