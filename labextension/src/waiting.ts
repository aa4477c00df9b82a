/** Waiting for what the model will have a moment later. */
import type { IEnvironments } from './tokens';

/** Whether something is so, now or after one of the model's changes within some milliseconds. */
export async function waitUntil(model: IEnvironments, isSo: () => boolean, milliseconds: number): Promise<boolean> {
  await new Promise<void>(resolve => {
    const end = () => {
      clearTimeout(timer);
      model.changed.disconnect(look);
      resolve();
    };
    const look = () => isSo() && end();
    const timer = setTimeout(end, milliseconds);
    model.changed.connect(look);
    look();
  });
  return isSo();
}
