/** Changes to the text of an `environment.yaml` that leave the rest of it as it was typed. */

const KEY = /^dependencies[ \t]*:[ \t]*(.*)$/m;

/**
 * Add a dependency of conda's, behind the others, unless it is there; null for a text in which that cannot be done by
 * its lines, as in a lock file.
 */
export function addDependency(text: string, dependency: string): string | null {
  const key = KEY.exec(text);
  if (!key) {
    return /^name[ \t]*:/m.test(text) ? `${ended(text)}dependencies:\n  - ${dependency}\n` : null;
  }
  const rest = key[1]!.replace(/(^|[ \t])#.*$/, '').trim();
  if (rest === '') {
    return addToBlock(text, key.index + key[0].length, dependency);
  }
  const flow = /^\[(.*)\]$/.exec(rest);
  if (!flow) {
    return null;
  }
  const items = flow[1]!.trim();
  const line = key[0].replace(/\[.*\]/, `[${items ? `${items}, ` : ''}${dependency}]`);
  return text.slice(0, key.index) + line + text.slice(key.index + key[0].length);
}

/** Add behind the last item of conda's, which is before a nested list of pip's. */
function addToBlock(text: string, from: number, dependency: string): string {
  const lines = text.slice(from).split('\n');
  let at = 0;
  let indent: string | null = null;
  for (let number = 1; number < lines.length; number += 1) {
    const line = lines[number]!;
    const item = /^([ \t]*)- /.exec(line);
    if (item && (indent === null || item[1] === indent)) {
      indent = item[1]!;
      if (!/^[ \t]*- +pip[ \t]*:/.test(line)) {
        at = number;
      }
    } else if (/^[^ \t#-]/.test(line)) {
      break;
    }
  }
  lines.splice(at + 1, 0, `${indent ?? '  '}- ${dependency}`);
  return text.slice(0, from) + lines.join('\n');
}

function ended(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`;
}
