/** What is said while an environment is made on the user's machine. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nullTranslator } from '@jupyterlab/translation';
import { type INotices, MakingNotices } from '../src/making';
import type { IMakingNews } from '../src/tokens';

/** JupyterLab's notifications, as far as they are used. */
class Notices implements INotices {
  readonly open = new Map<string, { message: string; type: string; autoClose: number | false }>();
  made = 0;

  emit(message: string, type: string, options: { autoClose: number | false }): string {
    this.made += 1;
    this.open.set(`n${this.made}`, { message, type, ...options });
    return `n${this.made}`;
  }

  update({ id, ...change }: { id: string; message: string; type: string; autoClose: number | false }): boolean {
    return this.open.has(id) && Boolean(this.open.set(id, change));
  }

  dismiss(id: string): void {
    this.open.delete(id);
  }
}

const NEWS: IMakingNews = {
  kernel_id: 'k1',
  environment: 'alice/ml',
  build_id: 7,
  state: 'making',
  phase: 'ask',
  done: 0,
  total: 0,
  unit: '',
  message: ''
};
const ENDED = { phase: '', done: 0, total: 0, unit: '' } as const;

function tell(...news: Partial<IMakingNews>[]): Notices {
  const notices = new Notices();
  const making = new MakingNotices(notices, nullTranslator.load('conda-store-hub'));
  news.forEach(one => making.tell({ ...NEWS, ...one }));
  return notices;
}

test('one notification goes on with the making, and stays open while it does', () => {
  const notices = tell({}, { phase: 'fetch', done: 3, total: 12, unit: 'packages' });
  const message = 'Making alice/ml on this machine: downloading packages, 3 of 12';
  assert.deepEqual([...notices.open.values()], [{ message, type: 'in-progress', autoClose: false }]);
  const archive = tell({ phase: 'archive', done: 1_500_000, total: 3_000_000, unit: 'bytes' });
  assert.match(archive.open.get('n1')!.message, /downloading its archive, 1\.5 MB of 3\.0 MB$/);
});

test('it becomes a success that closes by itself', () => {
  const notices = tell({}, { state: 'ready', ...ENDED });
  const { type, autoClose } = notices.open.get('n1')!;
  assert.deepEqual([notices.made, type, Number(autoClose) > 0], [1, 'success', true]);
});

test('a failure is said in its words, and stays until it was read', () => {
  const notices = tell({}, { state: 'failed', ...ENDED, message: 'The disk is full.' });
  const { message, type, autoClose } = notices.open.get('n1')!;
  assert.deepEqual([notices.made, type, autoClose], [1, 'error', false]);
  assert.match(message, /alice\/ml .* The disk is full\.$/);
});

test('who has closed it is told no more of how far it is, and of a failure all the same', () => {
  const notices = new Notices();
  const making = new MakingNotices(notices, nullTranslator.load('conda-store-hub'));
  making.tell(NEWS);
  notices.dismiss('n1');
  making.tell({ ...NEWS, phase: 'link', done: 1, total: 2, unit: 'packages' });
  assert.equal(notices.open.size, 0);
  making.tell({ ...NEWS, state: 'failed', ...ENDED, message: 'No.' });
  assert.deepEqual([...notices.open.values()].map(one => one.type), ['error']);
});

test('what was given up is closed, each start has its own, and one that took no time says nothing', () => {
  const notices = tell({}, { kernel_id: 'k2' }, { state: 'cancelled', ...ENDED });
  assert.deepEqual([...notices.open.keys()], ['n2']);
  const again = tell({}, { state: 'ready', ...ENDED }, {});
  assert.equal(again.made, 2);
  assert.equal(tell({ state: 'ready', ...ENDED }).made, 0);
});
