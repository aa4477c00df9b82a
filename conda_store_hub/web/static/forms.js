// A form that was open while its session ended is sent with the token of the session there is now.
document.addEventListener("submit", (event) => {
  const field = event.target.elements._xsrf;
  const [, value] = document.cookie.match(/(?:^|; )_xsrf="?([^;"]*)/) ?? [];
  if (field && value) {
    field.value = value;
  }
});
