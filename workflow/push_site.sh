#!/usr/bin/env bash
# Put a built site onto the branch gh-pages of a repository, as one more commit on top of the others:
#
#   workflow/push_site.sh REPOSITORY MESSAGE SITE           the book
#   workflow/push_site.sh REPOSITORY MESSAGE SITE preview/7 a preview, beside the book
#   workflow/push_site.sh REPOSITORY MESSAGE "" preview/7   takes the preview away
#   workflow/push_site.sh REPOSITORY MESSAGE --back COMMIT  the pages as they were at that commit
set -euo pipefail
repository=$1 message=$2 site=$3 place=${4:-.}
branch=gh-pages
if [[ $site != --back && -n $site ]]; then
  test -f "$site/index.html" || { echo "error: $site has no index.html" >&2; exit 1; }
  site=$(realpath "$site")
fi

pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT
git init --quiet --initial-branch "$branch" "$pages"
cd "$pages"
git remote add origin "$repository"
git config user.name "${GITHUB_ACTOR:-publisher}"
git config user.email "${GITHUB_ACTOR:-publisher}@users.noreply.github.com"
if git ls-remote --exit-code origin "refs/heads/$branch" > /dev/null; then
  git fetch --quiet --depth 1 origin "$branch"
  git reset --quiet --hard FETCH_HEAD
fi

if [[ $site == --back ]]; then
  git fetch --quiet --depth 1 origin "$place"
  git rm -r --quiet .
  git checkout --quiet FETCH_HEAD -- .
elif [[ $place == . ]]; then
  find . -mindepth 1 -maxdepth 1 ! -name .git ! -name preview -exec rm -rf {} +
  cp -r "$site/." .
else
  rm -rf "$place"
  if [[ -n $site ]]; then
    mkdir -p "$place"
    cp -r "$site/." "$place"
  fi
fi
touch .nojekyll # names that start with an underscore are files like others
git add --all
if git diff --cached --quiet; then
  echo "nothing changed"
else
  git commit --quiet --message "$message"
  git push --quiet origin "HEAD:$branch"
fi
