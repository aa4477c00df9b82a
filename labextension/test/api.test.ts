/** What the API asks of the user's server, and what it makes of answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api, ApiError } from '../src/api';
import type { LogEvent } from '../src/tokens';
import { answer, FakeServer, stream } from './server';

function ok(data: unknown, more: object = {}): Response {
  return answer(200, { status: 'ok', data, ...more });
}

test('a list is asked for by page and told with its count', async () => {
  const server = new FakeServer(() => ok([{ name: 'ml' }], { count: 501 }));
  const page = await new Api(server.settings).environments({ namespace: 'group.team', page: 2 });
  assert.deepEqual([page.items, page.count], [[{ name: 'ml' }], 501]);
  const { path, query, method } = server.requests[0]!;
  assert.deepEqual([method, path], ['GET', '/user/alice/conda-store-hub/api/v1/environment/']);
  assert.deepEqual([query.get('namespace'), query.get('page'), query.get('size')], ['group.team', '2', '100']);
});

test('who has a role is listed to the last', async () => {
  const all = Array.from({ length: 130 }, (_, index) => ({ id: index + 1 }));
  const server = new FakeServer(request => {
    const after = Number(new URL(request.url).searchParams.get('after') ?? -1);
    const behind = all.filter(one => one.id > after);
    return ok(behind.slice(0, 100), { count: behind.length });
  });
  assert.deepEqual(await new Api(server.settings).members('alice', 'ml'), all);
  assert.equal(server.requests.length, 2);
});

test('names are escaped: what a person typed never becomes part of a path', async () => {
  const server = new FakeServer(() => ok({}));
  await new Api(server.settings).environment('a/../b', 'x?y#z');
  assert.equal(server.requests[0]!.path, '/user/alice/conda-store-hub/api/v1/environment/a%2F..%2Fb/x%3Fy%23z/');
});

test('a channel is given as often as there are some', async () => {
  const server = new FakeServer(() => ok([], { count: 0, problems: [{ channel: 'b', message: 'gone' }] }));
  const found = await new Api(server.settings).searchPackages({ search: 'num', channels: ['a', 'b'] });
  assert.deepEqual(server.requests[0]!.query.getAll('channel'), ['a', 'b']);
  assert.equal(found.problems[0]!.message, 'gone');
});

test('a submission gives the number of its build', async () => {
  const server = new FakeServer(() => ok({ build_id: 7 }));
  assert.equal(await new Api(server.settings).submit({ specification: 'name: ml' }), 7);
  assert.deepEqual(JSON.parse(server.requests[0]!.body), { specification: 'name: ml' });
});

test('a refusal carries the sentence, the code and the place of the service', async () => {
  const said = { status: 'error', code: 'invalid-specification', message: 'No. (line 3)', line: 3, column: 5 };
  const api = new Api(new FakeServer(() => answer(400, said)).settings);
  await assert.rejects(api.submit({ specification: '' }), (error: ApiError) => {
    assert.deepEqual([error.message, error.code, error.status], ['No. (line 3)', 'invalid-specification', 400]);
    assert.deepEqual([error.line, error.column, error.isOutage], [3, 5, false]);
    return true;
  });
});

test('an outage is told from a refusal', async () => {
  const down = answer(503, { status: 'error', code: 'service-unreachable', message: 'It cannot be reached.' });
  await assert.rejects(new Api(new FakeServer(() => down).settings).permissions(), { isOutage: true });
  const gone = new FakeServer(() => {
    throw new TypeError('network');
  });
  await assert.rejects(new Api(gone.settings).permissions(), { isOutage: true, code: 'offline' });
});

test('a login that has ended is told from a lack of rights', async () => {
  const loggedOut = answer(403, { message: 'Forbidden', reason: null });
  await assert.rejects(new Api(new FakeServer(() => loggedOut).settings).permissions(), { isLoggedOut: true });
  const refused = answer(403, { status: 'error', code: 'forbidden', message: 'You may not.' });
  await assert.rejects(new Api(new FakeServer(() => refused).settings).permissions(), {
    isLoggedOut: false,
    message: 'You may not.'
  });
});

test('a page in place of JSON is no answer', async () => {
  const page = () => new Response('<html></html>', { status: 200, headers: { 'Content-Type': 'text/html' } });
  await assert.rejects(new Api(new FakeServer(page).settings).permissions(), { code: 'unexpected-answer' });
});

test('whoever gives up a request gets an AbortError and no ApiError', async () => {
  const server = new FakeServer(
    request =>
      new Promise((_, reject) => {
        const end = () => reject(new DOMException('x', 'AbortError'));
        if (request.signal.aborted) {
          end();
        }
        request.signal.addEventListener('abort', end);
      })
  );
  const giveUp = new AbortController();
  const asked = new Api(server.settings).environments({}, giveUp.signal);
  giveUp.abort();
  await assert.rejects(asked, { name: 'AbortError' });
});

test('a file is downloaded through the server, at the address that the service gives', () => {
  const api = new Api(new FakeServer(() => ok(null)).settings);
  const at = 'http://lab.test/user/alice/conda-store-hub/api/v1/build/7';
  assert.equal(api.fileUrl('api/v1/build/7/pixi.lock'), `${at}/pixi.lock`);
  assert.equal(api.logUrl(7), `${at}/logs/`);
});

test('a file that could not be made is asked for by its kind', async () => {
  const server = new FakeServer(() => ok(null));
  await new Api(server.settings).makeArtifact(7, 'EXPLICIT');
  const { body, method, path } = server.requests[0]!;
  assert.deepEqual([method, path], ['POST', '/user/alice/conda-store-hub/api/v1/build/7/artifact/']);
  assert.deepEqual(JSON.parse(body), { artifact_type: 'EXPLICIT' });
});

async function collect(api: Api, offset = 0): Promise<LogEvent[]> {
  const events: LogEvent[] = [];
  for await (const event of api.followLog(7, offset, new AbortController().signal)) {
    events.push(event);
  }
  return events;
}

test('a live log is told as it comes, however it is cut into pieces', async () => {
  const text =
    'retry: 1000\n\nevent: log\ndata: one\ndata: é\nid: 7\n\n: still here\n\n' +
    'event: state\ndata: {"status":"BUILDING","status_info":null}\n\n' +
    'event: progress\ndata: {"phase":"solve","done":1,"total":2,"unit":"packages"}\n\nevent: end\ndata: \nid: 7\n\n';
  const bytes = new TextEncoder().encode(text);
  for (const size of [1, 7, bytes.length]) {
    const server = new FakeServer(() => stream(bytes, size));
    assert.deepEqual(await collect(new Api(server.settings)), [
      { kind: 'log', text: 'one\né', offset: 7 },
      { kind: 'state', status: 'BUILDING', info: null },
      { kind: 'progress', phase: 'solve', done: 1, total: 2, unit: 'packages' },
      { kind: 'end' }
    ]);
    assert.equal(server.requests[0]!.headers.get('Accept'), 'text/event-stream');
  }
});

test('a line that is cut off is picked up where it was', async () => {
  const first = 'event: log\ndata: one\nid: 4\n\nevent: log\ndata: tw';
  const second = 'event: log\ndata: two\nid: 8\n\nevent: end\ndata: \n\n';
  const answers = [first, second].map(one => new TextEncoder().encode(one));
  const server = new FakeServer(() => stream(answers.shift()!, 100));
  const events = await collect(new Api(server.settings));
  assert.deepEqual(
    events.flatMap(one => (one.kind === 'log' ? [one.text] : [])),
    ['one', 'two']
  );
  assert.deepEqual(
    server.requests.map(one => one.query.get('offset')),
    ['0', '4']
  );
});

test('what was read before a stream broke is not read again', async () => {
  const first = new TextEncoder().encode('event: log\ndata: one\nid: 4\n\n');
  let pulled = 0;
  const server = new FakeServer(request => {
    if (request.headers.get('Accept') === 'text/event-stream') {
      const pull = (controller: ReadableStreamDefaultController<Uint8Array>) =>
        (pulled += 1) === 1 ? controller.enqueue(first) : controller.error(new TypeError('broken'));
      return new Response(new ReadableStream({ pull }));
    }
    return request.url.includes('/logs/')
      ? new Response('two\n', { headers: { 'X-Log-Offset': '8', 'X-Log-Complete': 'true' } })
      : ok({ status: 'COMPLETED' });
  });
  const events = await collect(new Api(server.settings));
  assert.deepEqual(
    events.flatMap(one => (one.kind === 'log' ? [one.text] : [])),
    ['one', 'two\n']
  );
  assert.equal(server.requests[1]!.query.get('offset'), '4');
});

test('a log that may not be read is refused at once', async () => {
  const missing = answer(404, { status: 'error', code: 'not-found', message: 'There is no build 7.' });
  await assert.rejects(collect(new Api(new FakeServer(() => missing).settings)), { code: 'not-found' });
});

test('where a stream breaks, what is there is read without it', async () => {
  const server = new FakeServer(request => {
    if (request.headers.get('Accept') === 'text/event-stream') {
      return new Response(
        new ReadableStream({
          pull(controller) {
            controller.error(new TypeError('broken'));
          }
        })
      );
    }
    if (request.url.includes('/logs/')) {
      return new Response('all of it', { headers: { 'X-Log-Offset': '9', 'X-Log-Complete': 'true' } });
    }
    return ok({ status: 'COMPLETED' });
  });
  assert.deepEqual(await collect(new Api(server.settings)), [
    { kind: 'log', text: 'all of it', offset: 9 },
    { kind: 'state', status: 'COMPLETED', info: null },
    { kind: 'end' }
  ]);
});
