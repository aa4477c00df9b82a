/** The line that pulls an image. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pullLine } from '../src/images';

const ML = { namespace: 'alice', name: 'My-ML' };

function here(address: string) {
  const { protocol, host, hostname } = new URL(address);
  return { protocol, host, hostname };
}

test('the line to pull an image names what stands before it, and the environment in lower case', () => {
  const at = here('https://hub.example.org:8443/user/alice/lab');
  const line = (place: Parameters<typeof pullLine>[0]) => pullLine(place, at, ML);
  assert.equal(line({ address: 'images.example.org:5000' }), 'docker pull images.example.org:5000/alice/my-ml');
  assert.equal(line({ address: null, port: 5000 }), 'docker pull hub.example.org:5000/alice/my-ml');
  assert.equal(line({}), 'docker pull hub.example.org:8443/alice/my-ml');
  assert.equal(line(null), null);
});

test('a host that Docker would take for a user is named with its port', () => {
  assert.equal(pullLine({}, here('https://hub/lab'), ML), 'docker pull hub:443/alice/my-ml');
  assert.equal(pullLine({}, here('http://hub/lab'), ML), 'docker pull hub:80/alice/my-ml');
  assert.equal(pullLine({}, here('http://localhost/lab'), ML), 'docker pull localhost/alice/my-ml');
});
