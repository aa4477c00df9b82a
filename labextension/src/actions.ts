/** What people do with environments and builds: asked back where that was set, done, and said what came of it. */
import { Dialog, InputDialog, Notification, showDialog, showErrorMessage } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import { ApiError } from './api';
import { begin, choose, extend } from './beginning';
import {
  type Build,
  COMMANDS,
  type IArtifactArgs,
  type IBuildArgs,
  type IEnvironmentArgs,
  type IEnvironments,
  type ISettings
} from './tokens';

/** What every environment with Python needs to run notebooks. */
const KERNEL = 'ipykernel';

export interface IActionsOptions {
  readonly model: IEnvironments;
  readonly settings: ISettings;
  readonly commands: CommandRegistry;
  readonly trans: TranslationBundle;
}

export class Actions {
  constructor(private readonly _options: IActionsOptions) {}

  async toggleFavourite(target: IEnvironmentArgs): Promise<void> {
    const { settings } = this._options;
    const name = full(target);
    const { favourites } = settings.current;
    const rest = favourites.filter(one => one !== name);
    await settings.set('favourites', rest.length < favourites.length ? rest : [...favourites, name]);
  }

  /** Build once more what is active. */
  async rebuild(target: IEnvironmentArgs): Promise<void> {
    await this._try(async api => {
      const buildId = choose(await api.environment(target.namespace, target.name));
      if (buildId !== null) {
        this._begun(target, await api.rebuild(buildId));
      }
    });
  }

  /** Put what notebooks need into an environment's specification, and build that. */
  async addKernel(target: IEnvironmentArgs): Promise<void> {
    const { trans } = this._options;
    await this._try(async api => {
      const { buildId, latest, text: before } = await begin(api, target, null);
      if (buildId === null) {
        return;
      }
      const text = extend(before, target.name, KERNEL);
      if (text === null) {
        const said = trans.__('%1 cannot be put into this specification by itself: edit it.', KERNEL);
        throw new ApiError(said, 'invalid-specification', 400);
      }
      const request = { specification: text, namespace: target.namespace, latest_build_id: latest };
      this._begun(target, await api.submit(request));
    });
  }

  async rename(target: IEnvironmentArgs): Promise<void> {
    const { trans } = this._options;
    const name = await this._askName(trans.__('Rename %1', full(target)), target.name, trans.__('Rename'));
    if (name && name !== target.name) {
      await this._try(async api => {
        await api.rename(target.namespace, target.name, name);
        await this._follow(target, name);
      });
    }
  }

  /** Have a page and a favourite go on under the new name. */
  private async _follow(target: IEnvironmentArgs, name: string): Promise<void> {
    const { commands, settings } = this._options;
    const { favourites } = settings.current;
    const [before, after] = [full(target), full({ ...target, name })];
    if (favourites.includes(before)) {
      await settings.set('favourites', favourites.map(one => (one === before ? after : one)));
    }
    await commands.execute(COMMANDS.followRename, { ...target, newName: name });
  }

  /** Copy an environment, from its lock, to a namespace that one chooses. */
  async clone(target: IEnvironmentArgs): Promise<void> {
    const { model, trans } = this._options;
    const title = trans.__('Copy %1', full(target));
    const items = [...model.writableNamespaces];
    if (items.length === 0) {
      await showErrorMessage(title, trans.__('There is no namespace that you may make environments in.'));
      return;
    }
    const chosen = await InputDialog.getItem({ title, label: trans.__('Into the namespace'), items, current: 0 });
    if (!chosen.button.accept || chosen.value === null) {
      return;
    }
    const namespace = chosen.value;
    const suggested = namespace === target.namespace ? `${target.name}-copy` : target.name;
    const name = await this._askName(title, suggested, trans.__('Copy'));
    if (name) {
      await this._try(async api => {
        this._begun({ namespace, name }, await api.clone(target.namespace, target.name, { namespace, name }));
      });
    }
  }

  async deleteEnvironment(target: IEnvironmentArgs, force = false): Promise<void> {
    const { settings, trans } = this._options;
    const body = force
      ? trans.__('It is in use. What runs in it loses its files, and what is being built in it is cancelled.')
      : trans.__('Its name is free at once. For seven days it can be brought back.');
    const asks = force || settings.current.confirmDelete;
    if (asks && !(await this._confirm(trans.__('Delete %1?', full(target)), body, trans.__('Delete')))) {
      return;
    }
    try {
      await this._options.model.api.deleteEnvironment(target.namespace, target.name, { force });
    } catch (error) {
      if (error instanceof ApiError && error.code === 'in-use' && !force) {
        await this.deleteEnvironment(target, true);
        return;
      }
      await this._say(error);
      return;
    }
    const undo = () => void this._options.commands.execute(COMMANDS.restoreEnvironment, { ...target });
    Notification.info(trans.__('%1 was deleted.', full(target)), {
      autoClose: 20000,
      actions: [{ label: trans.__('Undo'), caption: trans.__('Bring it back'), callback: undo }]
    });
  }

  /** Bring back what was deleted; under another name, if its own is taken by now. */
  async restore(target: IEnvironmentArgs): Promise<void> {
    const { trans } = this._options;
    try {
      await this._options.model.api.restoreEnvironment(target.namespace, target.name);
      Notification.success(trans.__('%1 is back.', full(target)), { autoClose: 5000 });
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== 'conflict') {
        await this._say(error);
        return;
      }
      const name = await this._askName(error.message, `${target.name}-restored`, trans.__('Bring it back'));
      if (name) {
        await this._try(async api => void (await api.restoreEnvironment(target.namespace, target.name, name)));
      }
    }
  }

  /** Make a build the active one: notebooks start in it from then on. */
  async activate({ buildId, ...args }: IBuildArgs): Promise<void> {
    const { settings, trans } = this._options;
    const target = await this._findTarget(buildId, args);
    if (!target) {
      return;
    }
    const body = trans.__('Notebooks that start from now on run in it. Those that run go on as they are.');
    const title = trans.__('Make build %1 the active one of %2?', buildId, full(target));
    if (!settings.current.confirmActivate || (await this._confirm(title, body, trans.__('Activate'), false))) {
      await this._try(api => api.change(target.namespace, target.name, { build_id: buildId }));
    }
  }

  async cancel({ buildId }: IBuildArgs): Promise<void> {
    const { settings, trans } = this._options;
    const title = trans.__('Cancel build %1?', buildId);
    const body = trans.__('What it has done so far is lost. The active build stays as it is.');
    if (!settings.current.confirmCancel || (await this._confirm(title, body, trans.__('Cancel the build')))) {
      await this._try(api => api.cancel(buildId));
    }
  }

  /** End one making, or all of them; the same build may have several kernels wait for it. */
  async cancelMaking(kernelId?: string): Promise<void> {
    const { model, trans } = this._options;
    const meant = model.makings.current.filter(one => kernelId === undefined || one.kernels.includes(kernelId));
    for (const { kernels, news } of meant) {
      const title = trans.__('No longer make %1 on this machine?', news.environment);
      const body = trans.__('%1 kernels wait for it: none of them starts.', kernels.length);
      if (kernels.length < 2 || (await this._confirm(title, body, trans.__('Cancel it')))) {
        await this._try(() => model.makings.cancel(kernels[0]!));
      }
    }
  }

  async togglePin({ buildId }: IBuildArgs): Promise<void> {
    await this._try(async api => api.pin(buildId, !(await api.build(buildId)).pinned));
  }

  async makeArtifact({ buildId, type }: IArtifactArgs): Promise<void> {
    await this._try(api => api.makeArtifact(buildId, type));
  }

  async deleteBuild({ buildId }: IBuildArgs): Promise<void> {
    const { trans } = this._options;
    const title = trans.__('Delete build %1?', buildId);
    const body = trans.__('What it takes on the disk is freed. It stays listed, and can be built again from its lock.');
    if (await this._confirm(title, body, trans.__('Delete'))) {
      await this._try(api => api.deleteBuild(buildId));
    }
  }

  private async _findTarget(buildId: number, args: Partial<IEnvironmentArgs>): Promise<IEnvironmentArgs | null> {
    if (args.namespace !== undefined && args.name !== undefined) {
      return { namespace: args.namespace, name: args.name };
    }
    let build: Build | null = null;
    await this._try(async api => {
      build = await api.build(buildId);
    });
    const found = build as Build | null;
    return found && { namespace: found.namespace, name: found.environment };
  }

  /** Show the build that something has begun. */
  private _begun(target: IEnvironmentArgs, buildId: number): void {
    void this._options.commands.execute(COMMANDS.openBuild, { ...target, buildId });
  }

  private async _try(act: (api: IEnvironments['api']) => Promise<void>): Promise<void> {
    try {
      await act(this._options.model.api);
    } catch (error) {
      await this._say(error);
    }
  }

  private async _say(error: unknown): Promise<void> {
    await showErrorMessage(this._options.trans.__('That was not done'), error as Error);
  }

  private async _askName(title: string, text: string, okLabel: string): Promise<string | null> {
    const asked = await InputDialog.getText({ title, text, okLabel, label: this._options.trans.__('Name') });
    return asked.button.accept && asked.value ? asked.value.trim() : null;
  }

  private async _confirm(title: string, body: string, label: string, warns = true): Promise<boolean> {
    const accept = warns ? Dialog.warnButton({ label }) : Dialog.okButton({ label });
    const keep = Dialog.cancelButton({ label: this._options.trans.__('Keep it as it is') });
    return (await showDialog({ title, body, buttons: [keep, accept] })).button.accept;
  }
}

function full(target: IEnvironmentArgs): string {
  return `${target.namespace}/${target.name}`;
}
