// The token of the session that there is now; a page that is older than it holds another.
export function currentToken() {
  const [, value] = document.cookie.match(/(?:^|; )_xsrf="?([^;"]*)/) ?? [];
  return value || document.body.dataset.xsrf;
}
