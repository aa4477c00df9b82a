/** Offers a new build to the notebooks that run in another one. */
import { Notification } from '@jupyterlab/apputils';
import type { NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import { findRunning } from '../components/notebook';
import type { RunningBuilds } from '../running';
import { COMMANDS } from '../tokens';

/** Says once of each kernel that there is a newer build, and no longer than there is. */
export class BuildOffers {
  constructor(
    private readonly _commands: CommandRegistry,
    private readonly _running: RunningBuilds,
    private readonly _trans: TranslationBundle
  ) {}

  /** Look at a notebook again. */
  update(panel: NotebookPanel): void {
    const id = panel.sessionContext.session?.kernel?.id;
    const found = findRunning(panel.sessionContext, this._running);
    const before = id === undefined ? undefined : this._made.get(id);
    if (!id || !found || before?.build === found.next) {
      return;
    }
    this.withdraw(id);
    if (found.next === null) {
      return;
    }
    const said = this._trans.__(
      '%1 runs in build %2 of %3; build %4 is active now.',
      panel.title.label,
      found.buildId,
      `${found.namespace}/${found.name}`,
      found.next
    );
    const actions = this._listActions(panel.sessionContext.path, found.buildId, found.next);
    const notification = Notification.info(said, { autoClose: false, actions });
    this._made.set(id, { build: found.next, notification });
  }

  /** What is offered to a kernel means nothing to the next one. */
  withdraw(kernelId: string | undefined): void {
    const before = kernelId === undefined ? undefined : this._made.get(kernelId);
    if (before && kernelId !== undefined) {
      Notification.dismiss(before.notification);
      this._made.delete(kernelId);
    }
  }

  private _listActions(path: string, build: number, next: number): Notification.IAction[] {
    const execute = (id: string) => () => void this._commands.execute(id, { path });
    return [
      {
        label: this._trans.__('Restart into build %1', next),
        displayType: 'accent',
        callback: execute(COMMANDS.restartIntoBuild)
      },
      { label: this._trans.__('Keep in build %1', build), callback: execute(COMMANDS.keepInBuild) }
    ];
  }

  /** By kernel: of which build, and under which notification. */
  private readonly _made = new Map<string, { readonly build: number; readonly notification: string }>();
}
