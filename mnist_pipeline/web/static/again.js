// Parts of the page that is open, as the server would write them now; those that are the same stay as they are.
export async function readAgain(...names) {
  const text = await (await fetch(location.href)).text();
  const found = new DOMParser().parseFromString(text, "text/html");
  for (const name of names) {
    const [before, now] = [document.getElementById(name), found.getElementById(name)];
    if (before.outerHTML !== now.outerHTML) before.replaceWith(document.adoptNode(now));
  }
}
