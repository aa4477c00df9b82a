/** What is typed is kept, sent as it was typed, and what the service says of it is shown where it belongs. */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { nullTranslator } from '@jupyterlab/translation';
import { Api } from '../src/api';
import { choose, extend, listOthers, sayBeginning } from '../src/beginning';
import { listChanges } from '../src/changes';
import { draftKey, Drafts, type IDraft, newDraftKey } from '../src/drafts';
import { Editing, type IEditingOptions } from '../src/editing';
import type { SolvedPackage, SolvedSpecification } from '../src/tokens';
import { answer, FakeServer } from './server';

const ML = { namespace: 'alice', name: 'ml' };
const TEXT = 'name: ml\r\ndependencies:\r\n  - python\r\n';
const EMPTY: SolvedSpecification = { packages: [], reused: false, seconds: 1 };

/** A state database that can be down. */
class Database {
  readonly kept = new Map<string, object>();
  down = false;

  async fetch(id: string): Promise<never> {
    this.fail();
    return this.kept.get(id) as never;
  }

  async save(id: string, value: object): Promise<void> {
    this.fail();
    this.kept.set(id, value);
  }

  async remove(id: string): Promise<void> {
    this.fail();
    this.kept.delete(id);
  }

  async list(space?: string): Promise<never> {
    this.fail();
    const ids = [...this.kept.keys()].filter(id => id.startsWith(`${space}:`));
    return { ids, values: ids.map(id => this.kept.get(id)) } as never;
  }

  private fail(): void {
    if (this.down) {
      throw new Error('logged out');
    }
  }
}

class Tab {
  readonly kept = new Map<string, string>();

  getItem(key: string): string | null {
    return this.kept.get(key) ?? null;
  }

  setItem(key: string, value: string): void {
    this.kept.set(key, value);
  }

  removeItem(key: string): void {
    this.kept.delete(key);
  }
}

/** A service with one environment, whose answers to solves and submissions can be chosen. */
class World {
  readonly database = new Database();
  readonly tab = new Tab();
  readonly drafts = new Drafts(this.database as never, this.tab, '/user/alice/');
  text = TEXT;
  /** What is behind that in single builds, by their path. */
  readonly texts = new Map<string, string>();
  latest = 7;
  active: number | null = 7;
  down = false;
  gone = false;
  solve: (request: Request) => Response | Promise<Response> = () => answer(200, { data: EMPTY });
  submit: () => Response = () => answer(200, { data: { build_id: 8 } });
  readonly server = new FakeServer(request => this.answer(request));

  edit(options: Partial<IEditingOptions> = {}): Editing {
    const editing = new Editing({ api: new Api(this.server.settings), drafts: this.drafts, target: ML, key: draftKey(ML), ...options });
    opened.push(editing);
    return editing;
  }

  sent(): Record<string, unknown> {
    return JSON.parse(this.server.requests.at(-1)!.body) as Record<string, unknown>;
  }

  private answer(request: Request): Response | Promise<Response> {
    if (this.down) {
      return answer(503, { status: 'error', code: 'service-unreachable', message: 'It is down.' });
    }
    const path = new URL(request.url).pathname.split('/api/v1/')[1]!;
    if (path === 'specification/solve/') {
      return this.solve(request);
    }
    if (path === 'specification/') {
      return this.submit();
    }
    if (this.gone && path.startsWith('environment/')) {
      return answer(404, { status: 'error', code: 'not-found', message: 'There is none.' });
    }
    return path.startsWith('environment/')
      ? answer(200, { data: { id: 1, name: 'ml', current_build_id: this.active, latest_build_id: this.latest } })
      : answer(200, { data: { specification: { text: `${this.text}${this.texts.get(path) ?? ''}` } } });
  }
}

const TRANS = nullTranslator.load('');
const opened: Editing[] = [];

afterEach(() => opened.splice(0).forEach(one => one.dispose()));

function draft(world: World, key = draftKey(ML)): IDraft | undefined {
  return world.database.kept.get(`conda-store-hub-drafts:${key}`) as IDraft | undefined;
}

test('what the active build was made of is edited, and sent as it came', async () => {
  const world = new World();
  const editing = world.edit();
  await editing.load();
  assert.equal(editing.text, TEXT.replace(/\r/g, ''));
  assert.equal(editing.isDirty, false);
  editing.text += '  - numpy\n';
  assert.equal(editing.isDirty, true);
  await editing.build();
  assert.deepEqual(world.sent(), {
    specification: `${TEXT}  - numpy\r\n`,
    namespace: 'alice',
    environment_name: 'ml',
    latest_build_id: 7
  });
});

test('a change begins with the active build, and another one can be begun with instead', async () => {
  const world = new World();
  world.texts.set('build/5/', '# fifth\n').set('build/7/', '# seventh\n');
  world.active = 5;
  const editing = world.edit();
  await editing.load();
  assert.match(editing.text, /# fifth/);
  assert.equal(sayBeginning(editing.began!, TRANS), 'This begins with build 5, the active one.');
  const others = listOthers(editing.began!, TRANS);
  assert.deepEqual(others, [{ buildId: 7, words: 'The newest is build 7.' }]);
  editing.text += '# mine\n';
  await editing.beginWith(7);
  assert.match(editing.text, /# seventh/);
  assert.equal(editing.isDirty, false);
  assert.equal(sayBeginning(editing.began!, TRANS), 'This begins with build 7, the newest.');
  const [kept] = await world.drafts.listNew();
  assert.match((await world.drafts.find(kept!))?.text ?? '', /# fifth\r\n# mine/, 'what was typed is not lost');
  await editing.build();
  assert.equal(world.sent()['latest_build_id'], 7);
  assert.equal(editing.began, null);
});

test('what an environment is, is its active build, or the newest where none is', () => {
  assert.equal(choose({ current_build_id: 5, latest_build_id: 7 }), 5);
  assert.equal(choose({ current_build_id: null, latest_build_id: 7 }), 7);
  assert.equal(choose({ current_build_id: null, latest_build_id: null }), null);
});

test('where there is one build to begin with, nothing is said of it', () => {
  const begin = (buildId: number | null, active: number | null, latest: number) =>
    sayBeginning({ buildId, active, latest, text: '' }, TRANS);
  assert.deepEqual([begin(7, 7, 7), begin(7, null, 7), begin(null, null, 0)], ['', '', '']);
  assert.equal(begin(6, 5, 7), 'This begins with build 6.');
  const others = listOthers({ buildId: 6, active: 5, latest: 7, text: '' }, TRANS);
  assert.deepEqual(others.map(other => other.buildId), [5, 7]);
});

test('an environment that was renamed is edited under its name', async () => {
  const world = new World();
  world.text = 'name: before # why\ndependencies: []\n';
  const editing = world.edit();
  await editing.load();
  assert.equal(editing.text, 'name: ml # why\ndependencies: []\n');
  assert.equal(editing.isDirty, false);
});

test('what is added to an environment is built under its name, also where the text has none', () => {
  const text = 'name: ml # why\ndependencies:\n  - app\n';
  assert.equal(extend(text, 'ml', 'ipykernel'), `${text}  - ipykernel\n`);
  assert.equal(extend('dependencies: [app]\n', 'ml', 'ipykernel'), 'name: ml\ndependencies: [app, ipykernel]\n');
  assert.equal(extend('@EXPLICIT\n', 'ml', 'ipykernel'), null);
});

test('what is typed is kept when the tab is closed, and taken up again', async () => {
  const world = new World();
  const editing = world.edit();
  await editing.load();
  editing.text += '# mine\n';
  editing.dispose();
  assert.match(draft(world)?.text ?? '', /# mine/);
  world.latest = 9;
  const again = world.edit();
  await again.load();
  assert.match(again.text, /# mine/);
  assert.ok(again.draftFrom);
  await again.build();
  assert.equal(world.sent()['latest_build_id'], 7); // what others have built since is not passed over
  assert.equal(draft(world), undefined);
});

test('what is typed is kept without the service, and without a login', async () => {
  const world = new World();
  const editing = world.edit();
  await editing.load();
  world.database.down = world.down = true;
  editing.text += '# mine\n';
  await editing.build();
  assert.equal(editing.problem?.isOutage, true);
  await editing.keep();
  world.database.down = false;
  const again = world.edit();
  await again.load();
  assert.match(again.text, /# mine/);
  assert.equal(again.problem?.message, 'It is down.');
});

test('what was deleted or renamed while it was edited is made once more, if that is wanted', async () => {
  const world = new World();
  const editing = world.edit();
  await editing.load();
  editing.text += '# mine\n';
  world.gone = true;
  world.submit = () => answer(409, { status: 'error', code: 'edit-conflict', message: '“ml” is not there any more.' });
  await editing.build();
  assert.equal(editing.conflict?.message, '“ml” is not there any more.');
  world.submit = () => answer(200, { data: { build_id: 8 } });
  await editing.build(true);
  assert.equal(world.sent()['latest_build_id'], 0);
  assert.deepEqual([editing.problem, editing.conflict, editing.isDirty], [null, null, false]);
});

test('a file that is opened while a slow service is asked stays', async () => {
  const world = new World();
  const editing = world.edit();
  const loading = editing.load();
  assert.equal(editing.isLoading, true);
  editing.open('name: other\ndependencies: [numpy]\n');
  await loading;
  assert.equal(editing.text, 'name: ml\ndependencies: [numpy]\n');
  assert.equal(editing.isDirty, true);
  await editing.build();
  assert.equal(world.sent()['latest_build_id'], 7);
});

test('a draft can be given up', async () => {
  const world = new World();
  const editing = world.edit();
  await editing.load();
  editing.text = 'name: ml\n# mine\n';
  await editing.keep();
  await editing.discard();
  assert.equal(editing.source, TEXT);
  assert.deepEqual([draft(world), world.tab.kept.size], [undefined, 0]);
});

test('what is no draft is none, and the newest of two counts', async () => {
  const world = new World();
  const older: IDraft = { text: 'old', namespace: 'a', name: '', latestBuildId: 0, savedOn: 1 };
  await world.drafts.save('new-1', older);
  world.tab.kept.clear();
  await new Drafts(null, world.tab, '/user/alice/').save('new-1', { ...older, text: 'young', savedOn: 2 });
  assert.equal((await world.drafts.find('new-1'))?.text, 'young');
  world.database.kept.set('conda-store-hub-drafts:new-2', { text: 3 });
  assert.equal(await world.drafts.find('new-2'), null);
  await world.drafts.save(draftKey({ namespace: 'new-people', name: 'ml' }), older); // is there already
  assert.deepEqual(await world.drafts.listNew(), ['new-1']);
  assert.equal(await world.drafts.save('new-3', { ...older, text: 'x'.repeat(1_000_001) }), false);
  assert.notEqual(newDraftKey(), newDraftKey());
});

test('two that are new have a draft each, and what another has left is offered and not put in place of what was asked', async () => {
  const world = new World();
  const begin = (key: string, namespace: string): Editing =>
    world.edit({ target: null, key, namespace, template: 'name: x\n', isOpen: other => other === 'new-open' });
  const first = begin('new-1', 'alice');
  await first.load();
  assert.equal(first.offered, null);
  first.text = 'name: first\n';
  await first.keep();
  await world.drafts.save('new-open', { text: 'open', namespace: 'a', name: '', latestBuildId: 0, savedOn: 1 });
  const second = begin('new-2', 'group.team');
  await second.load();
  assert.deepEqual([second.text, second.namespace, second.draftFrom], ['name: x\n', 'group.team', null]);
  assert.equal(second.offered?.text, 'name: first\n');
  second.text = 'name: second\n';
  await second.goOn();
  assert.deepEqual([second.text, second.namespace, second.offered], ['name: first\n', 'alice', null]);
  assert.equal(draft(world, 'new-1'), undefined);
  assert.equal(draft(world, 'new-2')?.text, 'name: first\n');
  first.text = 'name: still mine\n';
  await first.keep();
  assert.equal(draft(world, 'new-2')?.text, 'name: first\n');
  const third = begin('new-3', 'alice');
  await third.load();
  const offered: string[] = [];
  for (; third.offered; await third.refuse()) {
    offered.push(third.offered.text);
  }
  // Also what was typed in the second one before it went on with another.
  assert.deepEqual(offered.sort(), ['name: first\n', 'name: second\n', 'name: still mine\n']);
  assert.equal(third.text, 'name: x\n');
  assert.deepEqual(await world.drafts.listNew(), ['new-open']);
});

test('a new environment has the name that its text says, and a lock file the one that is typed', async () => {
  const world = new World();
  const editing = world.edit({ target: null, key: 'new-1', namespace: 'alice', template: 'name: x\ndependencies: []\n' });
  editing.name = 'other';
  assert.equal(editing.text, 'name: other\ndependencies: []\n');
  await editing.build();
  assert.deepEqual(Object.keys(world.sent()).sort(), ['latest_build_id', 'namespace', 'specification']);
  assert.equal(world.sent()['latest_build_id'], 0);
  editing.open('@EXPLICIT\nhttps://x/y-1-0.conda\n');
  editing.name = 'locked';
  assert.equal(editing.isLockfile, true);
  await editing.build();
  assert.equal(world.sent()['environment_name'], 'locked');
  assert.equal(world.sent()['specification'], '@EXPLICIT\nhttps://x/y-1-0.conda\n');
});

test('what the service says is shown at its line until the text is another', async () => {
  const world = new World();
  const editing = world.edit();
  await editing.load();
  const said = { status: 'error', code: 'unsatisfiable', message: 'No. (line 3, column 5)', line: 3, column: 5, detail: '└─ why' };
  world.solve = () => answer(422, said);
  await editing.solve();
  assert.deepEqual(editing.fault, { message: 'No.', line: 3, column: 5 });
  assert.equal(editing.preview.state === 'failed' && editing.preview.error.detail, said.detail);
  editing.text = `${editing.text}\n`;
  assert.equal(editing.preview.state, 'none');
  const fault = () => editing.fault;
  assert.equal(fault(), null);
  editing.text = 'dependencies: x\n';
  assert.equal(fault()?.line, 1);
});

test('a solve can be cancelled, and its answer is then not shown', async () => {
  const world = new World();
  const editing = world.edit();
  await editing.load();
  let asked: Request | null = null;
  world.solve = request =>
    new Promise((_, reject) => {
      asked = request;
      const end = () => reject(new DOMException('', 'AbortError'));
      return request.signal.aborted ? end() : request.signal.addEventListener('abort', end);
    });
  const solving = editing.solve();
  assert.equal(editing.preview.state, 'solving');
  editing.cancel();
  await solving;
  assert.equal(editing.preview.state, 'none');
  assert.equal((asked as Request | null)?.signal.aborted, true);
});

test('a preview of another text is said to be one', async () => {
  const world = new World();
  const editing = world.edit();
  await editing.load();
  await editing.solve();
  assert.equal(editing.isPreviewStale, false);
  editing.text += '# more\n';
  assert.equal(editing.isPreviewStale, true);
});

test('a preview of another namespace is said to be one', async () => {
  const world = new World();
  const editing = world.edit({ target: null, key: newDraftKey(), namespace: 'alice' });
  await editing.load();
  await editing.solve();
  assert.equal(editing.isPreviewStale, false);
  editing.namespace = 'team';
  assert.equal(editing.isPreviewStale, true);
  await editing.solve();
  assert.equal(editing.isPreviewStale, false);
});

test('what somebody else has built is not passed over, unless one says so', async () => {
  const world = new World();
  const editing = world.edit();
  await editing.load();
  const built: number[] = [];
  editing.built.connect((_, { buildId }) => built.push(buildId));
  editing.text += '# mine\n';
  world.submit = () => answer(412, { status: 'error', code: 'edit-conflict', message: 'Somebody has.' });
  await editing.build();
  assert.deepEqual([editing.conflict?.message, editing.problem, built], ['Somebody has.', null, []]);
  world.latest = 9;
  world.submit = () => answer(200, { data: { build_id: 10 } });
  await editing.build(true);
  assert.equal(world.sent()['latest_build_id'], 9);
  assert.deepEqual([built, editing.isDirty], [[10], false]);
});

test('changes are listed with what was asked for first, and what they bring to download', () => {
  const one = (name: string, version: string, size = 0) => ({ manager: 'conda', name, version, size }) as SolvedPackage;
  const diff = {
    added: [one('a', '1')],
    removed: [one('gone', '1')],
    changed: [{ old: one('numpy', '1'), new: one('numpy', '2') }],
    unchanged: 3
  };
  const packages = [one('a', '1', 10), one('numpy', '2', 5), one('kept', '1', 100)];
  const found = listChanges({ ...EMPTY, packages, diff }, ['numpy >=2']);
  const rows = found.rows.map(row => [row.kind, row.name, row.before?.version, row.after?.version]);
  assert.deepEqual(rows, [
    ['changed', 'numpy', '1', '2'],
    ['added', 'a', undefined, '1'],
    ['removed', 'gone', '1', undefined]
  ]);
  assert.deepEqual([found.counts, found.unchanged, found.download], [{ added: 1, changed: 1, removed: 1 }, 3, 15]);
  assert.equal(listChanges({ ...EMPTY, packages }, []).counts.added, 3);
});
