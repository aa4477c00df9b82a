/** What the page knows of environments. */
import { Token } from '@lumino/coreutils';
import type { IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';
import type { BuildStatus, Environment, NamespaceSummary, Permission, PermissionSummary } from '../schema';
import type { IMakings } from './making';
import { type IEnvironmentArgs, PACKAGE } from './names';
import type { IApi } from './service';

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
  /** What is made on the user's machine now. */
  readonly makings: IMakings;
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
