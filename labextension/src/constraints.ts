/**
 * What cannot be meant in a line about a package, said as it is typed. The service has the last word: nothing that it
 * takes is called wrong here, and it finds more.
 */

const OPERATORS = ['==', '=', '>=', '<=', '>', '<', '!=', '~='];
const ADDRESS = /\burl=|\w+:\/\/|^\s*[./~\\]|^(git|hg|svn|bzr)\+/;
const NO_ADDRESS = 'A package is a name with a version, not an address or a path.';
const PIP_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?/;
const PIP_TERM = /^\s*(===|==|~=|!=|<=|>=|<|>)\s*[^\s<>=!~,]+\s*$/;

/** What is wrong with a dependency of conda's; null if nothing is seen. */
export function checkDependency(line: string): string | null {
  const text = line.replace(/(^|\s)#.*$/, '').trim();
  if (text === '') {
    return 'Write the name of a package.';
  }
  if (ADDRESS.test(text)) {
    return NO_ADDRESS;
  }
  if (text.includes('::') || /\[.*\bchannel\s*=/.test(text)) {
    return 'Name channels in the list of channels, not here.';
  }
  if (/[[\]]/.test(text)) {
    return /\[[^[\]]*\]$/.test(text) ? null : 'A bracket is not closed.';
  }
  const name = /^[A-Za-z0-9_.-]+/.exec(text)?.[0] ?? '';
  const rest = text.slice(name.length);
  if (name === '' || /^[^\s=<>!~]/.test(rest)) {
    return `“${text.split(/[\s=<>!~]/)[0]}” is not the name of a package.`;
  }
  return rest === '' ? null : checkVersion(rest);
}

function checkVersion(typed: string): string | null {
  const text = typed.trim();
  if (/^[A-Za-z_-]+$/.test(text)) {
    return `“${text}” is no version. Each package is a line of its own.`;
  }
  if (text.includes(';')) {
    return 'Behind the version there can be a build, and nothing else.';
  }
  const unknown = (text.match(/!?[=<>~]+/g) ?? []).find(found => !OPERATORS.includes(found));
  if (unknown !== undefined) {
    return `“${unknown}” does not compare: use one of ${OPERATORS.join(' ')}`;
  }
  const open = /([=<>!~]+|[,|])$/.exec(text)?.[0];
  // What `=1.2=` leaves out is a build.
  if (open !== undefined && !(open === '=' && /[0-9A-Za-z*]=$/.test(text))) {
    return `Behind “${open}” a version is missing.`;
  }
  if (/^[,|]|[,|]\s*[,|]/.test(text)) {
    return 'Between two commas or bars a version is missing.';
  }
  return /[0-9]\.\.+[0-9]/.test(text) ? 'A version has single dots.' : null;
}

/** What is wrong with a line of the pip part; null if nothing is seen. */
export function checkPip(line: string): string | null {
  const text = line.replace(/(^|\s)#.*$/, '').trim();
  if (/^(--index-url|-i)[\s=]/.test(text)) {
    return null;
  }
  if (text.startsWith('-')) {
    return 'Options of pip are not allowed here.';
  }
  if (ADDRESS.test(text)) {
    return NO_ADDRESS;
  }
  const name = PIP_NAME.exec(text)?.[0];
  if (name === undefined) {
    return text === '' ? 'Write the name of a package.' : 'A name begins with a letter or a digit.';
  }
  const [versions] = text.slice(name.length).replace(/^\s*\[[^\]]*\]/, '').split(';');
  return checkPipVersions(versions!.trim().replace(/^\((.*)\)$/, '$1'));
}

function checkPipVersions(text: string): string | null {
  if (text === '') {
    return null;
  }
  const wrong = text.replace(/,\s*$/, '').split(',').find(one => !PIP_TERM.test(one));
  if (wrong === undefined) {
    return null;
  }
  return /^\s*=[^=]/.test(wrong) ? 'pip compares with “==”, not with “=”.' : `“${wrong.trim()}” is no version: write >=1.2,<2 or ==1.2`;
}
