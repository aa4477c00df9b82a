/** What is said while an environment is made on the user's machine. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nullTranslator } from '@jupyterlab/translation';
import { type INotices, MakingNotices } from '../src/notices';
import type { IMakingNews } from '../src/tokens';

interface IShown {
  message: string;
  type: string;
  autoClose: number | false;
  actions: { label: string; callback: (event: MouseEvent) => void }[];
}

/** JupyterLab's notifications, as far as they are used. */
class Notices implements INotices {
  readonly open = new Map<string, IShown>();
  made = 0;

  emit(message: string, type: string, options: Pick<IShown, 'autoClose' | 'actions'>): string {
    this.made += 1;
    this.open.set(`n${this.made}`, { message, type, ...options });
    return `n${this.made}`;
  }

  update({ id, ...change }: IShown & { id: string }): boolean {
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

function make(notices: Notices, cancelled: string[] = []): MakingNotices {
  return new MakingNotices(notices, id => cancelled.push(id), nullTranslator.load('conda-store-hub'));
}

function tell(...news: Partial<IMakingNews>[]): Notices {
  const notices = new Notices();
  const making = make(notices);
  news.forEach(one => making.tell({ ...NEWS, ...one }));
  return notices;
}

test('one notification goes on with the making, and stays open while it does', () => {
  const notices = tell({}, { phase: 'fetch', done: 3, total: 12, unit: 'packages' });
  const [[id, { message, type, autoClose }]] = [...notices.open] as [[string, IShown]];
  assert.equal(message, 'Making alice/ml on this machine: downloading packages, 3 of 12');
  assert.deepEqual([id, type, autoClose], ['n1', 'in-progress', false]);
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
  const making = make(notices);
  making.tell(NEWS);
  notices.dismiss('n1');
  making.tell({ ...NEWS, phase: 'link', done: 1, total: 2, unit: 'packages' });
  assert.equal(notices.open.size, 0);
  making.tell({ ...NEWS, state: 'failed', ...ENDED, message: 'No.' });
  assert.deepEqual([...notices.open.values()].map(one => one.type), ['error']);
});

test('it can be cancelled where it is told of, and stays to say what came of that', () => {
  const [notices, cancelled] = [new Notices(), [] as string[]];
  const making = make(notices, cancelled);
  making.tell(NEWS);
  let isPrevented = false;
  const [{ label, callback }] = notices.open.get('n1')!.actions as [IShown['actions'][number]];
  callback({ preventDefault: () => (isPrevented = true) } as unknown as MouseEvent);
  assert.deepEqual([label, cancelled, isPrevented], ['Cancel', ['k1'], true]);
  making.tell({ ...NEWS, state: 'cancelled', ...ENDED });
  const { actions, autoClose, message, type } = notices.open.get('n1')!;
  assert.deepEqual([type, Number(autoClose) > 0, actions], ['info', true, []]);
  assert.match(message, /alice\/ml .* was cancelled\. No kernel starts in it\.$/);
  assert.deepEqual(tell({}, { state: 'failed', ...ENDED, message: 'No.' }).open.get('n1')!.actions, []);
});

test('each start has its own, and one that took no time says nothing', () => {
  const notices = tell({}, { kernel_id: 'k2' }, { state: 'ready', ...ENDED });
  assert.deepEqual([...notices.open.values()].map(one => one.type), ['success', 'in-progress']);
  const again = tell({}, { state: 'ready', ...ENDED }, {});
  assert.equal(again.made, 2);
  assert.equal(tell({ state: 'ready', ...ENDED }).made, 0);
});
