/** The service as a page can ask it, through the user's server. */
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
  PermissionSummary,
  Phase,
  Rebuild,
  RegistryPlace,
  Setting,
  SolvedSpecification,
  SolveSpecification,
  SubmitSpecification,
  Usage
} from '../schema';
import type { IEnvironmentArgs } from './names';

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

/** How much of a list is asked for at once; the service gives no more. */
export const PAGE = 100;

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

/** The service's API, through the user's server. Everything rejects with an ApiError, or an AbortError. */
export interface IApi {
  /** A build was begun through it. */
  readonly begun: ISignal<IApi, number>;

  permissions(): Promise<PermissionSummary>;
  /** Where container tools find images; null where they are not offered. */
  registry(): Promise<RegistryPlace | null>;
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
  /** No longer make what a kernel of this server waits for. */
  cancelMaking(kernelId: string): Promise<void>;
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
