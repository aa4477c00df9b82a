/** What parts of the extension, and other extensions, may use of each other: names, contracts, no code. */
import { Token } from '@lumino/coreutils';
import type { IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';
import type {
  ActivateBuild,
  ArtifactType,
  Build,
  BuildStatus,
  BuildSummary,
  ChannelPackage,
  ChannelProblem,
  DepartedPackages,
  Environment,
  FoundPackage,
  GrantRole,
  Member,
  NamespaceDetails,
  NamespaceSummary,
  Package,
  PackageDiff,
  Permission,
  PermissionSummary,
  Phase,
  Rebuild,
  Setting,
  SolvedSpecification,
  SolveSpecification,
  SubmitSpecification,
  Usage
} from './schema';

export * from './schema';

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

/** The states in which a build goes on. */
export function isActive(status: BuildStatus | null | undefined): boolean {
  return status === 'QUEUED' || status === 'BUILDING';
}

/** A page of a list; `count` is exact up to 10,000. */
export interface IPage<T> {
  readonly items: readonly T[];
  readonly count: number;
}

/** Channels that could not be read come with what was found in the others. */
export interface ISearchPage<T> extends IPage<T> {
  readonly problems: readonly ChannelProblem[];
}

export interface IPaging {
  readonly page?: number;
  readonly size?: number;
}

/** What happens while a log is followed. */
export type LogEvent =
  | { readonly kind: 'log'; readonly text: string; readonly offset: number }
  | { readonly kind: 'state'; readonly status: BuildStatus; readonly info: string | null }
  | {
      readonly kind: 'progress';
      readonly phase: Phase;
      readonly done: number;
      readonly total: number;
      readonly unit: string;
    }
  | { readonly kind: 'end' };

/** A kernel that runs in an environment, as the server tells of it; `active_build_id` is what it would restart into. */
export interface IRunningKernel {
  readonly kernel_id: string;
  readonly build_id: number;
  readonly active_build_id: number | null;
  readonly pinned: boolean;
}

/** The steps in which an environment is made on the user's machine. */
export type MakePhase = 'ask' | 'archive' | 'fetch' | 'link' | 'pip' | 'unpack' | 'finish';

/** How far the environment of a kernel is that is about to start, as the server pushes it. */
export interface IMakingNews {
  readonly kernel_id: string;
  /** NAMESPACE/NAME. */
  readonly environment: string;
  readonly build_id: number;
  readonly state: 'making' | 'ready' | 'failed' | 'cancelled';
  /** Empty when it has ended. */
  readonly phase: MakePhase | '';
  readonly done: number;
  /** 0 if that is not known. */
  readonly total: number;
  readonly unit: 'packages' | 'bytes' | '';
  /** Why it failed, in words for people. */
  readonly message: string;
}

/** The service's API, through the user's server. Everything rejects with an ApiError, or an AbortError. */
export interface IApi {
  /** A build was begun through it. */
  readonly begun: ISignal<IApi, number>;

  permissions(): Promise<PermissionSummary>;
  namespaces(paging?: IPaging): Promise<IPage<NamespaceSummary>>;
  namespace(name: string): Promise<NamespaceDetails>;
  /** What namespaces hold, by name; in pages as the namespaces are. */
  usage(paging?: IPaging): Promise<Readonly<Record<string, Usage>>>;
  environments(
    query: IPaging & { readonly namespace?: string; readonly search?: string; readonly status?: BuildStatus },
    signal?: AbortSignal
  ): Promise<IPage<Environment>>;
  environment(namespace: string, name: string): Promise<Environment>;
  change(namespace: string, name: string, change: ActivateBuild): Promise<void>;
  rename(namespace: string, name: string, newName: string): Promise<void>;
  clone(namespace: string, name: string, target: IEnvironmentArgs): Promise<number>;
  deleteEnvironment(namespace: string, name: string, options?: { readonly force?: boolean }): Promise<void>;
  restoreEnvironment(namespace: string, name: string, newName?: string): Promise<Environment>;
  settings(namespace: string, name?: string): Promise<Readonly<Record<string, Setting>>>;

  builds(
    query: IPaging & { readonly environmentId?: number; readonly status?: BuildStatus; readonly after?: number }
  ): Promise<IPage<BuildSummary>>;
  build(id: number): Promise<Build>;
  rebuild(id: number, options?: Rebuild): Promise<number>;
  cancel(id: number): Promise<void>;
  pin(id: number, pinned: boolean): Promise<void>;
  deleteBuild(id: number, options?: { readonly force?: boolean }): Promise<void>;
  packages(id: number, query?: IPaging & { readonly search?: string; readonly why?: boolean }): Promise<IPage<Package>>;
  departed(id: number): Promise<DepartedPackages>;
  /** What changed from the build `other` to the build `id`. */
  diff(id: number, other: number): Promise<PackageDiff>;
  /** The log from byte `offset` on, as it grows, until its end or that of `signal`; cut-off lines are picked up. */
  followLog(id: number, offset: number, signal: AbortSignal): AsyncIterable<LogEvent>;
  /** The kernels of this server that run in environments; null where the server does not tell. */
  running(): Promise<readonly IRunningKernel[] | null>;
  /** Have an artifact made that could not be. */
  makeArtifact(id: number, type: ArtifactType): Promise<void>;
  /** Where the browser can download what has this address below the service's. */
  fileUrl(address: string): string;
  /** Where it can download the whole log of a build. */
  logUrl(id: number): string;

  /** Members of a namespace, or of one environment. */
  members(namespace: string, name?: string): Promise<readonly Member[]>;
  grant(request: GrantRole, namespace: string, name?: string): Promise<Member>;
  revoke(memberId: number, namespace: string, name?: string): Promise<void>;

  /** Begin a build; gives its number. */
  submit(request: SubmitSpecification): Promise<number>;
  /** What would be built; `signal` ends the solve. */
  solve(request: SolveSpecification, signal?: AbortSignal): Promise<SolvedSpecification>;
  searchPackages(
    query: IPaging & {
      readonly search: string;
      readonly namespace?: string;
      readonly channels?: readonly string[];
    },
    signal?: AbortSignal
  ): Promise<ISearchPage<FoundPackage>>;
  packageVersions(
    name: string,
    query: IPaging & { readonly namespace?: string; readonly channels?: readonly string[] },
    signal?: AbortSignal
  ): Promise<ISearchPage<ChannelPackage>>;
}

/** How the service stands, as seen from the page. */
export type Standing = 'unknown' | 'ready' | 'unavailable' | 'refused';

/** A namespace as the panel shows it: its environments are asked for when it is opened. */
export interface INamespaceList {
  readonly namespace: NamespaceSummary;
  readonly environments: readonly Environment[];
  /** How many there are. */
  readonly count: number;
  /** Whether any of them have been asked for. */
  readonly isLoaded: boolean;
  readonly isLoading: boolean;
}

/** What is known of a kernel of an environment from the server's list of kernels. */
export interface IEnvironmentKernel {
  /** The name that a notebook keeps. */
  readonly kernelName: string;
  readonly displayName: string;
  readonly language: string;
  readonly buildId: number;
}

/** A build that has changed its state, as the server pushes it. */
export interface IBuildNews {
  readonly buildId: number;
  readonly status: BuildStatus;
}

/** What the page knows of environments. Nothing is asked for while nobody watches. */
export interface IEnvironments extends IDisposable {
  readonly api: IApi;
  /** Something that can be shown is other than it was. */
  readonly changed: ISignal<IEnvironments, void>;
  /**
   * A build has changed its state: one that this page has begun, or while somebody watches, one that was begun from
   * this server. Other pages leave it to that one to ask about it.
   */
  readonly buildChanged: ISignal<IEnvironments, IBuildNews>;
  /** Something at the service may be other than it was: whoever shows more than these lists asks again. */
  readonly news: ISignal<IEnvironments, void>;

  readonly standing: Standing;
  /** Why the last request for lists failed, in words for people; null when it did not. */
  readonly problem: Error | null;
  readonly permissions: PermissionSummary | null;
  /** The namespaces that one may see: one's own first. */
  readonly namespaces: readonly INamespaceList[];
  /** What is searched for; null when nothing is. */
  readonly search: IFound | null;
  readonly favourites: readonly Environment[];
  /** What commands without arguments are about. */
  readonly selected: IEnvironmentArgs | null;

  /**
   * Keep what is shown fresh until the returned handle is disposed of; `waits` tells whether what else one shows is to
   * change by itself, so that there is `news` now and then.
   */
  watch(waits?: () => boolean): IDisposable;
  /** Ask for everything that is shown again. */
  refresh(): Promise<void>;
  /** Ask for the first environments of a namespace, or for more of them. */
  load(namespace: string): Promise<void>;
  /** Search all that one may see, on the service's side; an empty text ends the search. */
  find(text: string): Promise<void>;
  /** More of what the search found. */
  findMore(): Promise<void>;
  isFavourite(environment: IEnvironmentArgs): boolean;
  setFavourites(names: readonly string[]): void;
  select(environment: IEnvironmentArgs | null): void;
  /** An environment as it was last seen in one of these lists; null if it is in none. */
  known(environment: IEnvironmentArgs): Environment | null;
  /** Its latest build's place in the queue, from 1; null where it does not wait, or that is not known. */
  position(environment: Environment): number | null;

  /** Whether one may do something in a namespace, or with one environment of it. */
  may(permission: Permission, namespace: string, name?: string): boolean;
  /** The namespaces that one may make environments in, one's own first. */
  readonly writableNamespaces: readonly string[];
  /** Bytes that would be free if a namespace went; null while that is not known. */
  size(namespace: string): number | null;
  /** Whether the server's list of kernels is there. */
  readonly knowsKernels: boolean;
  /** The kernels that an environment offers, which follow its active build; not those that are pinned to one. */
  kernels(environment: IEnvironmentArgs): readonly IEnvironmentKernel[];
  /** How many kernels run in it on this server. */
  countRunning(environment: IEnvironmentArgs): number;
  /** The environment that a kernel is of, by the kernel's name; null for one that is of none. */
  findByKernel(kernelName: string): (IEnvironmentArgs & { readonly buildId: number }) | null;
}

/** What a search has found so far. */
export interface IFound {
  readonly text: string;
  readonly environments: readonly Environment[];
  readonly count: number;
  readonly isLoading: boolean;
}

export const IEnvironments = new Token<IEnvironments>(
  `${PACKAGE}:IEnvironments`,
  'What JupyterLab knows of the environments of conda-store-hub, and the API of the service.'
);

/** What somebody has set. */
export interface ISettings {
  readonly changed: ISignal<ISettings, void>;
  readonly current: ISettingValues;
  set<K extends keyof ISettingValues>(key: K, value: ISettingValues[K]): Promise<void>;
}

/** The values of `schema/plugin.json`. */
export interface ISettingValues {
  readonly showSizes: boolean;
  readonly showUpdated: boolean;
  readonly showEmptyNamespaces: boolean;
  readonly namePattern: string;
  readonly confirmDelete: boolean;
  readonly confirmCancel: boolean;
  readonly confirmActivate: boolean;
  readonly notify: 'all' | 'failures' | 'none';
  readonly refreshSeconds: number;
  readonly favourites: readonly string[];
}

export const ISettings = new Token<ISettings>(
  `${PACKAGE}:ISettings`,
  'The settings of the environments of conda-store-hub.'
);
