/** What things are called: the package, its events, and its commands with what they take. */
import type { ArtifactType, Environment } from '../schema';

/** The id of this package, which those of its plugins begin with. */
export const PACKAGE = 'conda-store-hub';

/** The plugin whose settings are in `schema/plugin.json`. */
export const SETTINGS_ID = `${PACKAGE}:plugin`;

/** The ids of the events that the server extension emits. */
export const EVENTS = {
  kernels: 'https://conda-store-hub/events/kernels/v1',
  environments: 'https://conda-store-hub/events/environments/v1',
  running: 'https://conda-store-hub/events/running-kernels/v1',
  making: 'https://conda-store-hub/events/environment-progress/v1'
} as const;

/**
 * Every action. What a command is about stands in its arguments (`IEnvironmentArgs`, `IBuildArgs`); without any, it
 * is about what is selected in the panel.
 */
export const COMMANDS = {
  /** Show the panel. */
  openPanel: `${PACKAGE}:open-panel`,
  /** Ask for everything again. */
  refresh: `${PACKAGE}:refresh`,
  /** Open the page of an environment: IEnvironmentArgs. */
  openEnvironment: `${PACKAGE}:open-environment`,
  /** Open the page of an environment at one of its builds: IBuildArgs. */
  openBuild: `${PACKAGE}:open-build`,
  /** Write a new environment: `{ namespace? }`. */
  createEnvironment: `${PACKAGE}:create-environment`,
  /** Edit the specification of an environment: IEnvironmentArgs. */
  editEnvironment: `${PACKAGE}:edit-environment`,
  /** A new notebook in an environment: IEnvironmentArgs. */
  openNotebook: `${PACKAGE}:open-notebook`,
  /** Put ipykernel into an environment and build it: IEnvironmentArgs. */
  addKernel: `${PACKAGE}:add-kernel`,
  /** Star an environment, or take the star away: IEnvironmentArgs. */
  toggleFavourite: `${PACKAGE}:toggle-favourite`,
  /** Build the newest specification of an environment once more: IEnvironmentArgs. */
  rebuild: `${PACKAGE}:rebuild`,
  /** Give an environment another name: IEnvironmentArgs. */
  rename: `${PACKAGE}:rename`,
  /** Show a page under the name that its environment has now, if there is one: IEnvironmentArgs and `newName`. */
  followRename: `${PACKAGE}:follow-rename`,
  /** Copy an environment: IEnvironmentArgs. */
  clone: `${PACKAGE}:clone`,
  /** Who has which role: IEnvironmentArgs. */
  share: `${PACKAGE}:share`,
  /** Delete an environment; the notification offers to undo it: IEnvironmentArgs. */
  deleteEnvironment: `${PACKAGE}:delete-environment`,
  /** Bring back what was deleted: IEnvironmentArgs. */
  restoreEnvironment: `${PACKAGE}:restore-environment`,
  /** Make a build the active one: IBuildArgs. */
  activateBuild: `${PACKAGE}:activate-build`,
  /** End a build that is queued or running: IBuildArgs. */
  cancelBuild: `${PACKAGE}:cancel-build`,
  /** Protect a build from being deleted, or let it go: IBuildArgs. */
  togglePin: `${PACKAGE}:toggle-pin`,
  /** Delete what a build left on disk: IBuildArgs. */
  deleteBuild: `${PACKAGE}:delete-build`,
  /** Have a file of a build made that could not be: IArtifactArgs. */
  makeArtifact: `${PACKAGE}:make-artifact`,
  /** No longer make an environment on the user's machine: `{ kernelId? }`, one that waits for it, or all of them. */
  cancelMaking: `${PACKAGE}:cancel-making`,
  /** Which environment a notebook runs in: `{ path? }`. */
  notebookEnvironment: `${PACKAGE}:notebook-environment`,
  /** Add a package to the environment of a notebook: `{ path? }`. */
  addPackage: `${PACKAGE}:add-package`,
  /** Restart a notebook's kernel into the active build: `{ path? }`. */
  restartIntoBuild: `${PACKAGE}:restart-into-build`,
  /** Keep a notebook in a build, which is its own if none is said: `{ path? }` and what IBuildArgs has. */
  keepInBuild: `${PACKAGE}:keep-in-build`,
  /** Have a notebook that was kept in a build follow the active one again: `{ path? }`. */
  followActive: `${PACKAGE}:follow-active`
} as const;

/** What most commands take. */
export interface IEnvironmentArgs {
  readonly namespace: string;
  readonly name: string;
}

/** What commands about one build take; with the environment, if that is known. */
export interface IBuildArgs extends Partial<IEnvironmentArgs> {
  readonly buildId: number;
}

/** What commands about one file of a build take. */
export interface IArtifactArgs extends IBuildArgs {
  readonly type: ArtifactType;
}

/** An environment's name as people write it, `NAMESPACE/NAME`, and as favourites and keys of maps have it. */
export function fullName(environment: Environment): string {
  return `${environment.namespace.name}/${environment.name}`;
}

/** What commands take to be about this environment. */
export function argsOf(environment: Environment): IEnvironmentArgs {
  return { namespace: environment.namespace.name, name: environment.name };
}
