/** What is said of environments that are made on the user's machine, before the kernels that wait for them start. */
import type { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IMakingNews, MakePhase } from './tokens';
import { saySize } from './words';

/** Milliseconds for which it is said that one is there, or was cancelled. */
const BRIEFLY = 5000;

/** Where it is said: JupyterLab's notifications. */
export interface INotices {
  emit(message: string, type: Notification.TypeOptions, options: Options): string;
  /** False for one that was closed. */
  update(change: Options & { readonly id: string; readonly message: string; readonly type: Notification.TypeOptions }): boolean;
  dismiss(id: string): void;
}

type Options = { readonly autoClose: number | false; readonly actions: Notification.IAction[] };

/** One notification for each start of a kernel. */
export class MakingNotices {
  constructor(
    private readonly _notices: INotices,
    private readonly _cancel: (kernelId: string) => void,
    private readonly _trans: TranslationBundle
  ) {}

  tell(news: IMakingNews): void {
    const id = this._ids.get(news.kernel_id);
    if (news.state === 'making') {
      this._show(news, id);
      return;
    }
    this._ids.delete(news.kernel_id);
    const { environment, message } = news;
    if (news.state === 'failed') {
      this._fail(id, this._trans.__('%1 could not be made on this machine. %2', environment, message));
    } else if (id !== undefined && news.state === 'ready') {
      this._end(id, 'success', this._trans.__('%1 is on this machine: its kernel starts.', environment));
    } else if (id !== undefined) {
      const said = this._trans.__('%1 is not made on this machine: it was cancelled. No kernel starts in it.', environment);
      this._end(id, 'info', said);
    }
  }

  private _show(news: IMakingNews, id: string | undefined): void {
    // Its bar is not used: one that is full closes the notification, and each phase fills it.
    const message = sayMaking(news, this._trans);
    const actions = [this._offerCancel(news.kernel_id)];
    if (id === undefined) {
      this._ids.set(news.kernel_id, this._notices.emit(message, 'in-progress', { autoClose: false, actions }));
    } else {
      // Who has closed it is not shown it again.
      this._notices.update({ id, message, type: 'in-progress', autoClose: false, actions });
    }
  }

  private _offerCancel(kernelId: string): Notification.IAction {
    return {
      label: this._trans.__('Cancel'),
      caption: this._trans.__('No longer make it: no kernel that waits for it starts'),
      callback: event => {
        event.preventDefault(); // what comes of it is said in the same place
        this._cancel(kernelId);
      }
    };
  }

  private _end(id: string, type: 'success' | 'info', message: string): void {
    this._notices.update({ id, message, type, autoClose: BRIEFLY, actions: [] });
  }

  /** Also said to who has closed what was said before. */
  private _fail(id: string | undefined, message: string): void {
    const options: Options = { autoClose: false, actions: [] };
    if (id === undefined || !this._notices.update({ id, message, type: 'error', ...options })) {
      this._notices.emit(message, 'error', options);
    }
  }

  private readonly _ids = new Map<string, string>();
}

/** How far it is, in words. */
export function sayMaking(news: IMakingNews, trans: TranslationBundle): string {
  const phases: Record<MakePhase, string> = {
    ask: trans.__('asking for it'),
    archive: trans.__('downloading its archive'),
    fetch: trans.__('downloading packages'),
    link: trans.__('installing packages'),
    pip: trans.__('installing packages of pip'),
    unpack: trans.__('unpacking'),
    finish: trans.__('finishing')
  };
  const said = trans.__('Making %1 on this machine: %2', news.environment, phases[news.phase as MakePhase] ?? news.phase);
  if (news.total <= 0) {
    return `${said}…`;
  }
  const say = (count: number) => (news.unit === 'bytes' ? saySize(count) : String(count));
  return `${said}, ${trans.__('%1 of %2', say(news.done), say(news.total))}`;
}
