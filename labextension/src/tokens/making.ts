/** Environments that are made on the user's machine, for kernels that wait for them. */
import type { ISignal } from '@lumino/signaling';

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
  /** Why it failed or was cancelled, in words for people. */
  readonly message: string;
}

/** A build that is being made on the user's machine. */
export interface IMaking {
  /** What was told of it last. */
  readonly news: IMakingNews;
  /** The ids of the kernels that wait for it. */
  readonly kernels: readonly string[];
}

/** The builds that are being made on the user's machine. */
export interface IMakings {
  readonly changed: ISignal<IMakings, void>;
  /** What the server tells of each kernel's, as it comes. */
  readonly news: ISignal<IMakings, IMakingNews>;
  readonly current: readonly IMaking[];
  /** End the making that a kernel waits for; no other kernel that waits for the same starts either. */
  cancel(kernelId: string): Promise<void>;
}
