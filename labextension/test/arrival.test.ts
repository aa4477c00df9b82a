/** What an address may ask for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readArrival, withoutArrival } from '../src/arrival';

test('an environment is named by its two names, and by nothing else', () => {
  assert.deepEqual(readArrival('?csh-open=group.team/ml-2'), { namespace: 'group.team', name: 'ml-2' });
  assert.deepEqual(readArrival('?reset&csh-open=alice%2Fml'), { namespace: 'alice', name: 'ml' });
  for (const text of ['', 'ml', 'a/b/c', '/ml', 'alice/', '../ml', 'alice/<b>', 'alice/m l', 'alice/..']) {
    assert.equal(readArrival(`?csh-open=${encodeURIComponent(text)}`), null, text);
  }
  assert.equal(readArrival('?other=alice/ml'), null);
});

test('what was asked for is not asked for once more, and all else stays', () => {
  assert.equal(withoutArrival('/user/alice/lab', '?csh-open=alice/ml', ''), '/user/alice/lab');
  assert.equal(withoutArrival('/lab', '?a=1&csh-open=alice/ml&b=2', '#c'), '/lab?a=1&b=2#c');
});
