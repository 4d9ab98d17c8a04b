// Names of projects, made of names of files and places.
export function slugOf(name) {
  const plain = name.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const slug = plain.replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 63).replace(/-+$/, "");
  return /^(latest|new|[vd]\d+)$/.test(slug) ? `set-${slug}` : slug;
}

// Of a URL without its query, a prefix, a path or the name of a repository.
export function lastPart(place) {
  const path = /^https?:/i.test(place) ? place.replace(/[?#].*$/, "") : place;
  const last = path.replace(/\/+$/, "").split("/").pop();
  try {
    return decodeURIComponent(last);
  } catch {
    return last; // a stray percent sign
  }
}
