/** Environments that are being made on the user's machine, for kernels that wait for them. */
import { type ISignal, Signal } from '@lumino/signaling';
import { ApiError } from '../api';
import type { IApi, IMaking, IMakingNews, IMakings } from '../tokens';

export class Makings implements IMakings {
  readonly changed: ISignal<this, void>;
  readonly news: ISignal<this, IMakingNews>;

  constructor(private readonly _api: Pick<IApi, 'cancelMaking'>) {
    this.changed = this._changed = new Signal(this);
    this.news = this._news = new Signal(this);
  }

  /** One build is made once, however many kernels wait for it. */
  get current(): readonly IMaking[] {
    const found = new Map<number, IMaking>();
    for (const news of this._byKernel.values()) {
      const waiting = found.get(news.build_id)?.kernels ?? [];
      found.set(news.build_id, { news, kernels: [...waiting, news.kernel_id] });
    }
    return [...found.values()];
  }

  /** Take up what the server tells. */
  tell(news: IMakingNews): void {
    if (news.state === 'making') {
      this._byKernel.set(news.kernel_id, news);
    } else {
      this._byKernel.delete(news.kernel_id);
    }
    this._news.emit(news);
    this._changed.emit();
  }

  async cancel(kernelId: string): Promise<void> {
    try {
      await this._api.cancelMaking(kernelId);
    } catch (error) {
      const last = this._byKernel.get(kernelId);
      if (!last || !(error instanceof ApiError) || error.status !== 404) {
        throw error;
      }
      // It has ended while this page did not hear of it, perhaps with the server.
      this.tell({ ...last, state: 'cancelled', phase: '', message: '' });
    }
  }

  dispose(): void {
    Signal.clearData(this);
  }

  private readonly _changed: Signal<this, void>;
  private readonly _news: Signal<this, IMakingNews>;
  private readonly _byKernel = new Map<string, IMakingNews>();
}
